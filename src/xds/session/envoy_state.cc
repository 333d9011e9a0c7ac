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

}  // namespace contour::xds
