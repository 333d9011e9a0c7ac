// SPDX-License-Identifier: Apache-2.0
// The rules of an EnvoyState about resources: what the Envoy is to have, what follows from what it
// is sent and acks, which clusters are warm, and what is still in use.

#include <algorithm>

#include "xds/session/envoy_state.h"
#include "xds/session/type_rules.h"

namespace contour::xds {

// ---- What the Envoy is to have ----

ResourcePtr EnvoyState::Wanted(const StreamState& stream, ResourceType type,
                               const std::string& name) const {
  ResourcePtr resource = snapshot_->Find(type, name);
  if (const std::vector<Exclusion>& exclusions = snapshot_->ExclusionsOf(type, name);
      !exclusions.empty())
    resource = WithOwn(stream, resource, exclusions);
  if (resource != nullptr) return resource;
  if (type == ResourceType::kSecret) return FindSecret(name);
  const bool named = stream[type].names.Contains(name);
  const bool sent = stream[type].sent.table().Contains(name);
  if (type == ResourceType::kEndpoints &&
      (((named || sent) && snapshot_->ClustersWithAssignment(name) > 0) ||
       (named && !sent && ClusterUsesAssignment(name)))) {
    return MakeBlank(name);
  }
  if (!stream.delta() && Info(type).blank_if_unknown && named) return MakeBlank(name);
  return nullptr;
}

bool EnvoyState::IsLacking(ResourceType type, const std::string& name,
                           const ResourcePtr& wanted) const {
  if (type == ResourceType::kSecret) return wanted == nullptr;
  return snapshot_->Find(type, name) == nullptr && snapshot_->ExclusionsOf(type, name).empty();
}

// True if the Envoy is to have the content although it is excluded: it runs it, or something
// unknown that could be it.
bool EnvoyState::Keeps(const StreamState& stream, const Exclusion& exclusion) const {
  const SentState& sent = stream[exclusion.key.type].sent;
  const ResourcePtr acked = sent.Acked(exclusion.key.resource);
  // It may be in a state of the world that nobody knows.
  if (acked == nullptr) return sent.unrecognised();
  return !acked->known || ContentVersion(*acked, exclusion.key.part) == exclusion.version;
}

// Returns `offered` with the excluded contents that this Envoy keeps, and with what it runs in the
// place of excluded contents for which the fleet has no good one. nullptr: nothing.
ResourcePtr EnvoyState::WithOwn(const StreamState& stream, const ResourcePtr& offered,
                                const std::vector<Exclusion>& exclusions) const {
  std::shared_ptr<Resource> own;
  for (const Exclusion& exclusion : exclusions) {
    const ResourceKey& key = exclusion.key;
    ResourcePtr from = exclusion.published;
    if (!Keeps(stream, exclusion)) {
      from = exclusion.replaced ? nullptr : stream[key.type].sent.Acked(key.resource);
      if (from == nullptr || !ContentVersion(*from, key.part).has_value()) continue;
    }
    if (own == nullptr) own = std::make_shared<Resource>(offered == nullptr ? *from : *offered);
    if (key.part.has_value()) {
      own->parts.Set(from->parts.Find(*key.part));
    } else {
      Parts parts = std::move(own->parts);
      *own = *from;
      own->parts = std::move(parts);
    }
  }
  if (own == nullptr) return offered;
  own->version = HashPair(own->name, own->bytes);
  own->version += own->parts.version();
  return own;
}

bool EnvoyState::MayWithdraw(ResourceType type, const std::string& name, Time now) {
  switch (type) {
    case ResourceType::kCluster:
      return snapshot_->UsersOfCluster(name) == 0 && !AwaitsUsers(now) &&
             !references_.NameCluster(name);
    case ResourceType::kEndpoints:
      return snapshot_->ClustersWithAssignment(name) > 0 || !ClusterUsesAssignment(name);
    case ResourceType::kListener:
      return true;
    case ResourceType::kRoutes:
    case ResourceType::kSecret:
      return SeeListenersInSync();
    case ResourceType::kScopedRoutes:
      // A host goes at once, all of them only after the listeners that look hosts up in this way.
      // Scopes that another control plane of that delivery mode left stay: connections that are
      // being drained use them, and Envoy drops them with the last.
      return !snapshot_->table(type).empty() || (had_scopes_ && SeeListenersInSync());
  }
  return true;
}

// ---- Responses ----

void EnvoyState::Sent(StreamState& stream, ResourceType type, const Change& change,
                      std::uint64_t sequence, EditToken token) {
  const ResourcePtr before = stream[type].sent.Send(change, sequence, token);
  const bool changed = !SameVersion(before, change.content);
  if (type == ResourceType::kListener && changed) listeners_changed_ = true;
  if (type != ResourceType::kCluster) return;
  if (change.content == nullptr) {
    warming_.ClusterWithdrawn(*change.name, sequence_);
    if (before != nullptr) TouchAssignment(before, false);
  } else if (changed && warming_.ClusterSent(change.content, before, sequence)) {
    TouchAssignment(change.content, true);
  }
  NoteAssignments(stream, *change.name);
}

// Looks again at the assignment of the cluster, if it has one.
void EnvoyState::TouchAssignment(const ResourcePtr& cluster, bool force) {
  if (cluster->assignment.empty()) return;
  const ResourceType type = ResourceType::kEndpoints;
  subscribers_.ForEach(type, cluster->assignment, [&](StreamState& stream) {
    Touch(stream, type, AssignmentOf(cluster), force);
  });
}

void EnvoyState::FirstContentAcked(ResourceType type, const FirstContent& first, Time now) {
  if (type == ResourceType::kCluster)
    ApplyWarming(warming_.FirstClustersAcked(first.sequence, now));
  if (type == ResourceType::kEndpoints)
    ApplyWarming(warming_.FirstAssignmentsAcked(*first.table, first.sequence, now));
}

void EnvoyState::Acked(StreamState& stream, ResourceType type, const Change& change,
                       std::uint64_t sequence, Time now) {
  ++figures_.examined;
  if (!stream[type].sent.Ack(change, sequence)) {
    MarkPossiblyApplied(stream, type, change);
    return;
  }
  if (change.content == nullptr) return;
  if (type == ResourceType::kCluster) ClusterAcked(*change.name, sequence, now);
  if (type == ResourceType::kEndpoints) {
    ApplyWarming(warming_.AssignmentAcked(*change.content, stream.id(), stream[type].names.asked(),
                                          sequence, now));
  }
}

void EnvoyState::MarkPossiblyApplied(StreamState& stream, ResourceType type, const Change& change) {
  if (!UsesClusters(type) || change.content == nullptr) return;
  if (stream[type].names.Includes(*change.name)) stream[type].sent.MarkPossiblyApplied(change);
}

void EnvoyState::ClustersAcked(std::uint64_t sequence, Time now) {
  resend_endpoints_at_.reset();
  ApplyWarming(warming_.ResponseAcked(sequence, now));
}

// ---- Warm clusters ----

// Looks again at everything that waited for what has changed.
void EnvoyState::ApplyWarming(const Warming::Changes& changes) {
  for (const NamePtr& cluster : changes.warm) {
    RecheckHeld(*cluster);
    for (const StreamState* stream : Of(ResourceType::kCluster)) NoteAssignments(*stream, *cluster);
  }
  if (changes.others) RecheckHeld();
  if (changes.recognised) RecheckBlocked(ResourceType::kEndpoints);
}

bool EnvoyState::JudgesWarmth(Time now) const {
  return !Of(ResourceType::kCluster).empty() ||
         (resuming_until_.has_value() && now < *resuming_until_);
}

bool EnvoyState::IsWarm(const std::string& cluster) const {
  if (warming_.Contains(cluster)) return false;
  const auto& streams = Of(ResourceType::kCluster);
  return std::any_of(streams.begin(), streams.end(), [&](const StreamState* stream) {
    return (*stream)[ResourceType::kCluster].sent.table().Contains(cluster);
  });
}

// True if the Envoy has just the clusters of the snapshot, and all of them are warm.
bool EnvoyState::AllClustersAreWarm() const {
  const auto& streams = Of(ResourceType::kCluster);
  const Table& all = snapshot_->table(ResourceType::kCluster);
  return warming_.empty() && streams.size() == 1 &&
         (**streams.begin())[ResourceType::kCluster].sent.table().root() == all.root();
}

bool EnvoyState::AllClustersAreWarmFor(const Resource& resource) const {
  constexpr std::size_t kMany = 64;
  if (resource.parts.size() < kMany || !AllClustersAreWarm()) return false;
  const auto all =
      options_.shared->HasAllClusters(snapshot_->table(ResourceType::kCluster), resource);
  options_.recent->Use(all);
  return *all;
}

bool EnvoyState::AllClustersAreWarmFor(const Table& resources) const {
  if (!AllClustersAreWarm()) return false;
  const auto all =
      options_.shared->HasAllClusters(snapshot_->table(ResourceType::kCluster), resources);
  options_.recent->Use(all);
  return *all;
}

// ---- Listeners ----

bool EnvoyState::ListenersInSync() const {
  const auto& streams = Of(ResourceType::kListener);
  if (streams.empty() && resuming_until_.has_value()) return false;  // it has yet to name them
  return std::all_of(streams.begin(), streams.end(), [](const StreamState* stream) {
    const TypeState& state = (*stream)[ResourceType::kListener];
    return state.pending.idle() && !state.draft.has_value() && state.waiting.held().empty() &&
           state.sent.settled() && !state.nacks.searching() && !state.nacks.RunsOlder();
  });
}

// True if the listeners are in sync. Whoever learns that they aren't is looked at again later.
bool EnvoyState::SeeListenersInSync() {
  const bool now = ListenersInSync();
  if (!now) listeners_in_sync_ = false;
  return now;
}

void EnvoyState::NoteListenersInSync() {
  const bool now = ListenersInSync();
  if (std::exchange(listeners_in_sync_, now) || !now) return;
  for (const ResourceType type :
       {ResourceType::kRoutes, ResourceType::kSecret, ResourceType::kScopedRoutes})
    RecheckBlocked(type);
}

// True if the Envoy, which just (re)connected, may have listeners and routes that it hasn't named
// yet.
bool EnvoyState::AwaitsUsers(Time now) const {
  if (!users_awaited_until_.has_value() || now >= *users_awaited_until_) return false;
  if (!identity_.aggregated && resuming_until_.has_value())
    return true;  // each on a stream of its own
  const auto silent = [&](ResourceType type) { return Of(type).empty(); };
  // Routes come in one of two delivery modes, or in both.
  const auto routes_missing = [&](ResourceType type) {
    return silent(type) && !snapshot_->table(type).empty();
  };
  return silent(ResourceType::kListener) ||
         (silent(ResourceType::kRoutes) && silent(ResourceType::kScopedRoutes)) ||
         routes_missing(ResourceType::kRoutes) || routes_missing(ResourceType::kScopedRoutes);
}

// ---- What is still in use ----

void EnvoyState::NoteReferences(const StreamState& stream, ResourceType type,
                                const std::string& name) {
  NoteClusterReferences(stream, type, name);
  if (type == ResourceType::kCluster) NoteAssignments(stream, name);
}

void EnvoyState::NoteClusterReferences(const StreamState& stream, ResourceType type,
                                       const std::string& name) {
  if (!UsesClusters(type)) return;
  ClustersEnded(references_.NoteSent(type, name, stream.id(), stream[type].sent, *snapshot_));
}

// Does so for every stream that has something under this name.
void EnvoyState::NoteClusterReferencesOf(ResourceType type, const std::string& name) {
  std::set<std::uint64_t> streams;
  subscribers_.ForEach(type, name, [&](const StreamState& stream) { streams.insert(stream.id()); });
  for (const std::uint64_t id : references_.StreamsOf(type, name)) streams.insert(id);
  if (lingering_.Contains(type, name)) streams.insert(0);
  for (const std::uint64_t id : streams) {
    if (id == 0) {
      NoteLingering(type, name);
    } else {
      NoteClusterReferences(*streams_.at(id), type, name);
    }
  }
}

void EnvoyState::NoteLingering(ResourceType type, const std::string& name) {
  ClustersEnded(references_.NoteLingering(type, name, lingering_, *snapshot_));
}

void EnvoyState::NoteAssignments(const StreamState& stream, const std::string& cluster) {
  AssignmentsEnded(references_.NoteCluster(cluster, stream.id(),
                                           stream[ResourceType::kCluster].sent, *snapshot_,
                                           warming_.ReplacedAssignments(cluster)));
}

// Forgets what the stream, which ends, refers to.
void EnvoyState::ForgetReferences(const StreamState& stream) {
  for (const ResourceType type : kClusterUsers) {
    stream[type].sent.ForEachName([&](const std::string& name) {
      ClustersEnded(references_.Forget(type, name, stream.id()));
    });
  }
  stream[ResourceType::kCluster].sent.table().ForEach([&](const ResourcePtr& sent) {
    AssignmentsEnded(references_.ForgetCluster(sent->name, stream.id()));
  });
}

void EnvoyState::ClustersEnded(const ClusterReferences::Ended& ended) {
  if (ended.unknown) RecheckBlocked(ResourceType::kCluster);
  for (const std::string& cluster : ended.names) RecheckBlocked(ResourceType::kCluster, cluster);
}

void EnvoyState::AssignmentsEnded(const ClusterReferences::Ended& ended) {
  if (ended.unknown) RecheckBlocked(ResourceType::kEndpoints);
  for (const std::string& assignment : ended.names)
    RecheckBlocked(ResourceType::kEndpoints, assignment);
}

// True if a cluster that this Envoy still has, other than in the snapshot, takes its endpoints from
// the assignment, or may do so.
bool EnvoyState::ClusterUsesAssignment(std::string_view assignment) const {
  if (warming_.unrecognised()) return true;
  // One that it doesn't name yet, after a connection broke, may.
  if (resuming_until_.has_value() && Of(ResourceType::kCluster).empty()) return true;
  return references_.NameAssignment(assignment);
}

}  // namespace contour::xds
