// SPDX-License-Identifier: Apache-2.0

#include "xds/session/envoy_state.h"

#include <algorithm>

#include "base/strings.h"
#include "xds/session/type_rules.h"

namespace contour::xds {
namespace {

// An Envoy that says nothing of its clusters so long after it subscribed to endpoints again is
// warming some.
constexpr std::chrono::seconds kWarmingShows{1};

bool IsOver(std::optional<Time>& time, Time now) {
  if (!time.has_value() || *time > now) return false;
  time.reset();
  return true;
}

}  // namespace

EnvoyState::EnvoyState(EnvoyIdentity identity, SessionOptions options, SnapshotPtr snapshot,
                       std::shared_ptr<const Memory> memory)
    : identity_(std::move(identity)),
      options_(std::move(options)),
      snapshot_(std::move(snapshot)),
      offered_(snapshot_),
      had_scopes_(!snapshot_->table(ResourceType::kScopedRoutes).empty()),
      previous_(std::move(memory)),
      warming_({identity_.aggregated, options_.empty_wait, options_.shared, options_.recent},
               figures_.examined),
      references_(figures_.examined),
      subscribers_(identity_.aggregated) {}

// ---- Streams and their subscriptions ----

StreamState& EnvoyState::AddStream(Protocol protocol) {
  const std::uint64_t id = ++stream_ids_;
  return *streams_
              .emplace(id, std::make_unique<StreamState>(id, protocol, identity_.aggregated,
                                                         options_.warm_timeout, holds_, figures_))
              .first->second;
}

void EnvoyState::RemoveStream(StreamState& stream, Time now) {
  waiting_.erase(&stream);
  for (const TypeInfo& info : kTypes) {
    const SubscribedNames& names = stream[info.type].names;
    subscribers_.Remove(info.type, stream);
    if (info.type == ResourceType::kEndpoints) {
      names.names().ForEach([&](const NamePtr& name) { warming_.StreamEnded(*name, stream.id()); });
    }
    if (!names.started()) continue;
    Remember(stream, info.type);
    if (info.type == ResourceType::kCluster && Of(info.type).empty())
      resuming_until_ = now + options_.warm_timeout;
    if (UsesClusters(info.type)) Linger(stream, info.type, now);
  }
  ForgetReferences(stream);
  const std::uint64_t id = stream.id();
  for (std::size_t rank = 0; rank <= kResourceTypes; ++rank) ready_.erase({rank, id});
  streams_.erase(id);
  NoteListenersInSync();
}

// Remembers the states of which the Envoy may have one. Which one shows its next request.
void EnvoyState::Remember(const StreamState& stream, ResourceType type) {
  if (!identity_.aggregated && type != ResourceType::kCluster && !UsesClusters(type)) return;
  const SentState& sent = stream[type].sent;
  const auto remember = [&](const Table& table, bool acked) {
    previous_.Remember(type, table, stream[type].names, acked);
  };
  remember(sent.table(), false);
  remember(sent.acked_table(), false);
  for (const InFlight& response : sent.in_flight()) remember(response.table, false);
  remember(sent.AckedResources(), true);
}

void EnvoyState::Linger(const StreamState& stream, ResourceType type, Time now) {
  const auto linger = [&](const ResourcePtr& resource) {
    lingering_.Add(type, resource, now);
    NoteLingering(type, resource->name);
  };
  stream[type].sent.table().ForEach(linger);
  for (const auto& [name, pending] : stream[type].sent.pending()) {
    if (pending.acked != nullptr) linger(pending.acked);
  }
}

void EnvoyState::Begin(Time now) {
  if (std::exchange(begun_, true) || !previous_.had_clusters()) return;
  resuming_until_ = now + options_.warm_timeout;
}

void EnvoyState::Subscribed(StreamState& stream, ResourceType type, bool resuming, Time now) {
  subscribers_.Start(type, stream);
  // In ADS clusters come first, except from an Envoy that is warming some when it reconnects.
  const bool early = identity_.aggregated && type == ResourceType::kEndpoints &&
                     Of(ResourceType::kCluster).empty();
  if (resuming || early) resuming_until_ = now + options_.warm_timeout;
  const Table& has = stream[type].sent.table();
  // There is nothing to note about what is as in the snapshot.
  if (has.root() != snapshot_->table(type).root())
    has.ForEach([&](const ResourcePtr& each) { NoteReferences(stream, type, each->name); });
  if (type == ResourceType::kCluster) {
    users_awaited_until_ = now + options_.warm_timeout;
    RecheckHeld();
    RecheckBlocked();
  }
  if (!UsesClusters(type)) return;
  for (const LingeringStreams::Name& name : lingering_.TakeSubscribed(type, stream[type].names))
    NoteLingering(name.first, name.second);
  RecheckBlocked();
}

void EnvoyState::AddName(StreamState& stream, ResourceType type, const std::string& name,
                         EditToken token) {
  SubscribedNames& names = stream[type].names;
  if (names.MustAdmit(name) && !names.Admit(name, FindSecret(name) != nullptr)) {
    ++figures_.counters.turned_away;
    return;
  }
  names.Add(name, sequence_, token);
  subscribers_.AddName(type, name, stream);
}

void EnvoyState::AddNames(StreamState& stream, ResourceType type,
                          const std::vector<std::string>& names) {
  if (type == ResourceType::kSecret || !identity_.aggregated) {
    const EditToken token = NewEditToken();
    for (const std::string& name : names) AddName(stream, type, name, token);
  } else {
    stream[type].names.Assign(options_.shared->MakeNames(names));
  }
}

bool EnvoyState::RemoveName(StreamState& stream, ResourceType type, const std::string& name) {
  if (!stream[type].names.Remove(name)) return false;
  subscribers_.RemoveName(type, name, stream);
  return true;
}

void EnvoyState::SetWildcard(StreamState& stream, ResourceType type, bool wildcard) {
  stream[type].names.SetWildcard(wildcard);
  subscribers_.SetWildcard(type, wildcard, stream);
}

void EnvoyState::Forget(StreamState& stream, ResourceType type, const std::string& name) {
  TypeState& state = stream[type];
  state.sent.SpellOut();
  if (const ResourcePtr sent = state.sent.Find(name);
      type == ResourceType::kCluster && sent != nullptr) {
    warming_.ClusterWithdrawn(name, sequence_);
    TouchAssignment(sent, false);
  }
  state.sent.Forget(name);
  state.pending.Remove(name);
  state.waiting.Release(name);
  state.waiting.Unblock(name);
  state.nacks.Forget(name);
  NoteReferences(stream, type, name);
}

void EnvoyState::SetUnrecognised(StreamState& stream, ResourceType type) {
  stream[type].sent.SetUnrecognised();
  if (type == ResourceType::kCluster) warming_.SetUnrecognised();
}

// The connection may have broken between a cluster and its assignment. Then the Envoy has an
// assignment of that name from before, doesn't ask for it, and the cluster would end empty. In ADS
// it shows: it doesn't subscribe to clusters again before all are warm (measured with Envoy 1.40:
// endpoints and listeners at once, clusters after the assignment came).
void EnvoyState::EndpointsResumed(Time now) {
  if (identity_.aggregated && !warming_.acked_any()) resend_endpoints_at_ = now + kWarmingShows;
}

ResourcePtr EnvoyState::Named(ResourceType type, const std::string& name,
                              const Hash128& version) const {
  ResourcePtr has = type == ResourceType::kSecret ? FindSecret(name) : snapshot_->Find(type, name);
  if (has == nullptr) has = MakeBlank(name);
  if (has->version == version) return has;
  const std::vector<Exclusion>& exclusions = snapshot_->ExclusionsOf(type, name);
  if (!exclusions.empty() && exclusions.front().published->version == version)
    return exclusions.front().published;
  has = previous_.Recall(type, name, version);
  return has == nullptr ? MakeUnknown(name, version) : has;
}

// ---- Snapshots ----

void EnvoyState::Offer(SnapshotPtr snapshot) {
  offered_ = std::move(snapshot);
  if (offered_ == snapshot_) return;
  // Any stream may be concerned; which ones are shows Refresh(), once somebody can write.
  if (!streams_.empty()) ready_.emplace(0, streams_.begin()->first);
}

void EnvoyState::Refresh() {
  while (!RefreshSome(kWithoutLimit)) {
  }
}

bool EnvoyState::RefreshSome(std::size_t most) {
  if (!refreshing_.has_value()) {
    if (offered_ == snapshot_) return true;
    StartRefreshing();
  }
  Refreshing& refreshing = *refreshing_;
  for (; refreshing.type < kResourceTypes; ++refreshing.type, refreshing.next = 0) {
    const auto& changes = refreshing.difference->changes[refreshing.type];
    for (; refreshing.next < changes.size(); ++refreshing.next) {
      if (most == 0) return false;
      if (most != kWithoutLimit) --most;
      TakeInChange(kTypes[refreshing.type], changes[refreshing.next].first,
                   changes[refreshing.next].second);
    }
  }
  // A use that ends within the snapshot alone may free a cluster (see UsersOfCluster).
  for (const std::string& cluster : refreshing.difference->unused_clusters)
    RecheckBlocked(ResourceType::kCluster, cluster);
  if (refreshing.users_appeared) RecheckBlocked();
  refreshing_.reset();
  for (const TypeInfo& info : kTypes) DisputeExclusions(info.type);
  return offered_ == snapshot_;
}

void EnvoyState::StartRefreshing() {
  const SnapshotPtr before = std::exchange(snapshot_, offered_);
  had_scopes_ = had_scopes_ || !snapshot_->table(ResourceType::kScopedRoutes).empty();
  refreshing_ = Refreshing{};
  refreshing_->difference = options_.differences != nullptr
                                ? options_.differences->Get(before, snapshot_)
                                : std::make_shared<SnapshotDifference>(*before, *snapshot_);
  for (const ResourceType type : kClusterUsers) {
    refreshing_->users_appeared = refreshing_->users_appeared ||
                                  before->table(type).empty() != snapshot_->table(type).empty();
  }
}

void EnvoyState::TakeInChange(const TypeInfo& info, const ResourcePtr& was, const ResourcePtr& is) {
  const auto touch = [&](ResourceType type, const NamePtr& name) {
    subscribers_.ForEach(type, *name, [&](StreamState& stream) { Touch(stream, type, name); });
  };
  const ResourcePtr& named = is != nullptr ? is : was;
  const std::string& name = named->name;
  ++figures_.examined;
  touch(info.type, NameOf(named));
  if (info.type == ResourceType::kSecret) SecretChanged(name, was == nullptr, is != nullptr);
  if (UsesClusters(info.type)) NoteClusterReferencesOf(info.type, name);
  if (info.type != ResourceType::kCluster) return;
  if (was == nullptr || is == nullptr || was->assignment != is->assignment) {
    for (const StreamState* stream : Of(info.type)) NoteAssignments(*stream, name);
  }
  // The clusters decide if an assignment that isn't in the snapshot is empty, kept or gone.
  for (const ResourcePtr& cluster : {was, is}) {
    if (cluster == nullptr || cluster->assignment.empty()) continue;
    if (snapshot_->table(ResourceType::kEndpoints).Contains(cluster->assignment)) continue;
    touch(ResourceType::kEndpoints, AssignmentOf(cluster));
  }
}

// Touches what else is asked for by this name, for every stream that may have asked for it.
void EnvoyState::SecretChanged(const std::string& name, bool came, bool exists) {
  const ResourceType type = ResourceType::kSecret;
  for (StreamState* stream : Of(type)) {
    SubscribedNames& names = (*stream)[type].names;
    for (const std::string& spelling : names.secrets().SpellingsOf(name)) {
      names.secrets().SetExists(spelling, exists);
      Touch(*stream, type, spelling);
    }
    if (names.Contains(name)) {
      if (stream->delta()) names.secrets().SetExists(name, exists);
    } else if (came && names.secrets().forgot() && !names.wildcard()) {
      AddName(*stream, type, name);
      Touch(*stream, type, name);
    }
  }
}

// Returns the secret of this name, or of the same name in lower case.
ResourcePtr EnvoyState::FindSecret(const std::string& name) const {
  const ResourceType type = ResourceType::kSecret;
  if (ResourcePtr found = snapshot_->Find(type, name); found != nullptr) return found;
  const std::string lower = LowerCase(name);
  if (lower == name) return nullptr;
  const ResourcePtr found = snapshot_->Find(type, lower);
  return found == nullptr ? nullptr : Renamed(*found, name);
}

// ---- Time ----

void EnvoyState::Tick(Time now) {
  EndAwaits(now);
  while (const std::optional<LingeringStreams::Name> name = lingering_.TakeExpired(now))
    NoteLingering(name->first, name->second);
  ApplyWarming(warming_.TakeTimedOut(now));
  while (!retries_.empty() && retries_.begin()->first <= now) {
    const Retry retry = std::move(retries_.begin()->second);
    retries_.erase(retries_.begin());
    const auto at = streams_.find(retry.stream);
    if (at == streams_.end()) continue;
    StreamState& stream = *at->second;
    if (stream[retry.type].nacks.Retry(retry.name)) Touch(stream, retry.type, retry.name);
  }
  TouchAll(holds_.TakeDue(now));
}

// Ends what is awaited of the Envoy, if the time for it is over.
void EnvoyState::EndAwaits(Time now) {
  if (IsOver(resuming_until_, now)) {
    RecheckHeld();
    RecheckBlocked();
  }
  if (IsOver(users_awaited_until_, now)) RecheckBlocked();
  if (resend_endpoints_at_.has_value() && *resend_endpoints_at_ <= now)
    resend_endpoints_at_ = WarmingShowsAt(now);
  if (IsOver(resend_endpoints_at_, now)) ResendEndpoints();
}

void EnvoyState::ResendEndpoints() {
  const ResourceType type = ResourceType::kEndpoints;
  for (StreamState* stream : Of(type)) {
    (*stream)[type].sent.table().ForEach(
        [&](const ResourcePtr& sent) { Touch(*stream, type, NameOf(sent), true); });
  }
}

// Returns when an Envoy that is silent about its clusters counts as warming some: not before it has
// had the time to answer. A server that many Envoys come back to may be late itself.
Time EnvoyState::WarmingShowsAt(Time now) const {
  for (const StreamState* stream : Of(ResourceType::kCluster)) {
    const TypeState& state = (*stream)[ResourceType::kCluster];
    if (!state.sent.in_flight().empty()) return state.sent.in_flight().front().made + kWarmingShows;
    if (state.pending.answer() || state.draft.has_value()) return now + kWarmingShows;
  }
  return now;
}

std::optional<Time> EnvoyState::NextDeadline() const {
  std::optional<Time> deadline;
  const auto consider = [&](const std::optional<Time>& time) {
    if (time.has_value()) deadline = deadline.has_value() ? std::min(*deadline, *time) : *time;
  };
  consider(resuming_until_);
  consider(users_awaited_until_);
  consider(resend_endpoints_at_);
  consider(lingering_.NextDeadline());
  consider(warming_.NextDeadline());
  if (!retries_.empty()) consider(retries_.begin()->first);
  consider(holds_.NextDue());
  return deadline;
}

// ---- Names to be looked at ----

void EnvoyState::Touch(StreamState& stream, ResourceType type, const NamePtr& name, bool force) {
  ++figures_.examined;
  stream[type].pending.Add(name, force);
  MarkReady(stream, type);
}

void EnvoyState::Touch(StreamState& stream, ResourceType type, const std::string& name,
                       bool force) {
  ++figures_.examined;
  stream[type].pending.Add(name, force);
  MarkReady(stream, type);
}

std::vector<std::uint64_t> EnvoyState::TakeReady() {
  std::vector<std::uint64_t> streams;
  std::set<std::uint64_t> taken;
  for (const auto& [rank, id] : std::exchange(ready_, {})) {
    if (taken.insert(id).second) streams.push_back(id);
  }
  return streams;
}

void EnvoyState::NoteWaits(StreamState& stream) {
  if (stream.Waits()) {
    waiting_.insert(&stream);
  } else {
    waiting_.erase(&stream);
  }
}

void EnvoyState::RecheckBlocked() {
  for (const TypeInfo& info : kTypes) RecheckBlocked(info.type);
}

void EnvoyState::RecheckBlocked(ResourceType type) {
  for (StreamState* stream : waiting_) {
    for (const std::string& name : (*stream)[type].waiting.blocked()) Touch(*stream, type, name);
  }
}

void EnvoyState::RecheckBlocked(ResourceType type, const std::string& name) {
  subscribers_.ForEach(type, name, [&](StreamState& stream) {
    ++figures_.examined;
    if (stream[type].waiting.blocked().contains(name)) Touch(stream, type, name);
  });
}

void EnvoyState::RecheckHeld() {
  for (StreamState* stream : waiting_) {
    for (const TypeInfo& info : kTypes) {
      for (const auto& [name, held] : (*stream)[info.type].waiting.held())
        Touch(*stream, info.type, name);
    }
  }
}

void EnvoyState::RecheckHeld(const std::string& cluster) { TouchAll(holds_.WaitingFor(cluster)); }

void EnvoyState::TouchAll(const std::vector<HoldIndex::Key>& keys) {
  for (const HoldIndex::Key& key : keys) Touch(*streams_.at(key.stream), key.type, key.name);
}

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
      // Those that a control plane of that delivery mode left are not ours: connections that are
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
