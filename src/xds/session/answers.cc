// SPDX-License-Identifier: Apache-2.0
// Handles the ACKs and NACKs of an Envoy.

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "xds/session/envoy_state.h"
#include "xds/session/node_fault.h"
#include "xds/session/stream.h"
#include "xds/session/type_rules.h"

namespace contour::xds {

void Stream::OnAnswer(ResourceType type, const Request& request, Time now) {
  SentState& sent = state_[type].sent;
  const std::deque<InFlight>& in_flight = sent.in_flight();
  const auto named =
      std::find_if(in_flight.begin(), in_flight.end(),
                   [&](const InFlight& response) { return response.nonce == request.nonce; });
  if (named == in_flight.end()) return;
  const bool nacked = request.error.has_value();
  if (nacked) {
    sent.SpellOut();
    envoy_.SpellOutFirstClusters();
  }
  const auto index = static_cast<std::size_t>(named - in_flight.begin());
  const std::size_t acked = CountAcked(type, request, index);
  const bool last = index + 1 == in_flight.size();
  std::uint64_t sequence = 0;
  for (std::size_t i = 0; i <= index; ++i) {
    const InFlight response = sent.TakeOldest();
    sequence = response.sequence;
    if (i < acked) {
      envoy_.figures().counters.acknowledged.Observe(now - response.made);
      OnAck(type, response, now);
    } else if (i == index) {
      OnNack(type, response, *request.error, now);
    } else {  // neither: a later answer will show
      for (const Change& change : response.changes) sent.Skip(change, response.sequence);
    }
    for (const Change& change : response.changes) envoy_.NoteReferences(state_, type, *change.name);
  }
  if (!nacked && state_.SendsWhole(type) && last) AckEverything(type, sequence, now);
  envoy_.MarkReady(state_, type);
}

// Returns how many of the responses in flight are acked by the request, which answers that of the
// index. Earlier responses were processed before. Envoy may leave out their ACKs (it withholds them
// and sends the last); in a NACK the version, of state of the world, says how far it had come.
std::size_t Stream::CountAcked(ResourceType type, const Request& request, std::size_t index) const {
  if (!request.error.has_value()) return index + 1;
  if (delta()) return index;
  const std::deque<InFlight>& in_flight = state_[type].sent.in_flight();
  std::size_t acked = 0;
  for (std::size_t i = 0; i < index; ++i) {
    if (in_flight[i].version == request.version) acked = i + 1;
  }
  return acked;
}

// ---- ACK ----

void Stream::OnAck(ResourceType type, const InFlight& response, Time now) {
  TypeState& state = state_[type];
  const std::optional<FirstContent> first = state.sent.TakeFirst(response.sequence);
  bool content = first.has_value() || (state_.SendsWhole(type) && !response.table.empty());
  if (first.has_value()) envoy_.FirstContentAcked(type, *first, now);
  for (const Change& change : response.changes) {
    content = content || change.content != nullptr;
    envoy_.Acked(state_, type, change, response.sequence, now);
    if (change.content != nullptr && state.nacks.EndNodeFault(*change.name))
      envoy_.ReportNodeFault({type, *change.name, std::nullopt}, "", true);
  }
  state.sent.Trim();
  state.sent.SetAcked(response);
  if (type == ResourceType::kCluster) envoy_.ClustersAcked(response.sequence, now);
  const bool control = state.nacks.Acked(response);
  if (!content) return;
  state.nacks.ContentAcked();
  envoy_.ReportCulprits(state_, type,
                        control ? NackTracker::Trust::kAll : NackTracker::Trust::kAcked);
  envoy_.ContentAcked();
  envoy_.DisputeExclusions(type);
}

// The whole state was acked: also what came in responses that were nacked before.
void Stream::AckEverything(ResourceType type, std::uint64_t sequence, Time now) {
  for (const NamePtr& name : state_[type].sent.AckEverything()) {
    envoy_.NoteReferences(state_, type, *name);
    if (type == ResourceType::kCluster) envoy_.ClusterAcked(*name, sequence, now);
  }
}

// ---- NACK ----

// The Envoy runs what it ran before, except that it may have applied some of the response.
void Stream::OnNack(ResourceType type, const InFlight& response, const std::string& error_message,
                    Time now) {
  TypeState& state = state_[type];
  const NackedChanges changes = NoteNackedChanges(type, response, error_message, now);
  state.nacks.Begin(error_message, now);
  ReportNack(type, response, error_message);
  if (type == ResourceType::kCluster) AssumeClustersAcked(error_message);
  const NackTracker::Suspicion suspicion = SuspectsOf(type, response, now);
  RejectSuspects(type, response, suspicion.suspects);
  // If the Envoy had acked all that this held, what it says is of no use.
  const bool useless =
      suspicion.suspects.empty() && !suspicion.explained && changes.content && !changes.withdrawals;
  if (state.nacks.Search(response.sequence, suspicion, useless)) {
    TouchAwaited(type, response);
  } else {
    GiveUpSearch(type);
  }
}

Stream::NackedChanges Stream::NoteNackedChanges(ResourceType type, const InFlight& response,
                                                const std::string& error_message, Time now) {
  SentState& sent = state_[type].sent;
  const bool together =
      (state_.SendsWhole(type) ? response.table.size() : response.changes.size()) > 1;
  NackedChanges changes;
  for (const Change& change : response.changes) {
    const std::string& name = *change.name;
    if (change.content == nullptr) {  // nothing that could be bad
      changes.withdrawals = true;
      envoy_.Acked(state_, type, change, response.sequence, now);
      continue;
    }
    changes.content = true;
    // A new one whose assignment was acked after it: so the Envoy has it, and hosts may use it. (It
    // may share the assignment; but of clusters Envoy names those that it rejects.)
    if (type == ResourceType::kCluster && !envoy_.warming().Contains(name) &&
        sent.Acked(name) == nullptr && !Names(error_message, name)) {
      envoy_.Acked(state_, type, change, response.sequence, now);
      continue;
    }
    sent.Nack(change, response.sequence);
    if (together) envoy_.MarkPossiblyApplied(state_, type, change);
  }
  return changes;
}

void Stream::ReportNack(ResourceType type, const InFlight& response,
                        const std::string& error_message) {
  ++envoy_.figures().counters.rejections[Index(type)];
  if (!envoy_.options().on_rejection) return;
  const EnvoyIdentity& identity = envoy_.identity();
  Rejection rejection{type, identity.node_id, identity.peer, error_message, {}};
  for (const Change& change : response.changes) rejection.names.push_back(*change.name);
  envoy_.options().on_rejection(rejection);
}

// Takes new clusters of responses before for acked, too, if they are warm and no error message
// names them.
void Stream::AssumeClustersAcked(const std::string& error_message) {
  TypeState& state = state_[ResourceType::kCluster];
  StringSet named;
  state.nacks.bisection().ForEach(
      [&](const NackBisection::Key& key, const Hash128&, const std::string& message) {
        if (Names(message, key.first)) named.insert(key.first);
      });
  std::vector<NamePtr> acked;
  for (const auto& [name, pending] : state.sent.pending()) {
    const ResourcePtr content = state.sent.Find(*name);
    if (content == nullptr || !content->known || pending.acked != nullptr ||
        pending.in_flight > 0 || envoy_.warming().Contains(*name) || Names(error_message, *name) ||
        named.contains(*name) || state.nacks.HasRejected(*name))
      continue;
    acked.push_back(name);
  }
  for (const NamePtr& name : acked) {
    state.sent.MarkAcked(*name);
    envoy_.NoteAssignments(state_, *name);
  }
}

// Returns what is to be searched. What the node couldn't take is set aside.
NackTracker::Suspicion Stream::SuspectsOf(ResourceType type, const InFlight& response, Time now) {
  NackTracker& nacks = state_[type].nacks;
  NackTracker::Suspicion suspicion = nacks.SuspectsOf(response, WantedOf(type));
  if (!SpeaksOfNode(nacks.error_message())) return suspicion;
  NackTracker::NodeFaults faults = nacks.SetAsideNodeFaults(response, suspicion.suspects);
  for (const auto& [name, wait, begins] : faults.faults) {
    envoy_.Touch(state_, type, name);
    envoy_.RetryAt(now + wait, state_, type, name);
    if (begins) envoy_.ReportNodeFault({type, name, std::nullopt}, nacks.error_message(), false);
  }
  return {std::move(faults.rest), /*explained=*/true};
}

// Sees to it that the suspects are looked at again.
void Stream::RejectSuspects(ResourceType type, const InFlight& response,
                            const NackTracker::Suspects& suspects) {
  TypeState& state = state_[type];
  // This holds also for what came in a response before that the Envoy said nothing about.
  const auto reject = [&](const std::string& name) {
    envoy_.Touch(state_, type, name);
    state.sent.MarkNacked(name, response.table.Find(name));
  };
  for (const auto& [key, version] : suspects) {
    reject(key.first);
    state.nacks.NoteHead(key, response);
  }
  if (type != ResourceType::kCluster || delta()) return;
  // Clusters that only stay until nothing uses them.
  for (const auto& [name, pending] : state.sent.pending()) {
    if (envoy_.snapshot().Find(type, *name) == nullptr && Names(state.nacks.error_message(), *name))
      reject(*name);
  }
}

// Sends again what is no suspect, but came because a cluster has to warm, and is still awaited.
void Stream::TouchAwaited(ResourceType type, const InFlight& response) {
  const SentState& sent = state_[type].sent;
  for (const Change& change : response.changes) {
    const std::string& name = *change.name;
    const bool awaited =
        type == ResourceType::kCluster
            ? envoy_.warming().Contains(name)
            : type == ResourceType::kEndpoints && envoy_.warming().AwaitsAssignment(name);
    if (!awaited || change.content == nullptr) continue;
    const bool blank =
        type == ResourceType::kEndpoints && change.content->version == MakeBlank(name)->version;
    if (blank || SameVersion(sent.Acked(name), change.content))
      envoy_.Touch(state_, type, change.name, true);
  }
}

// ---- The search for culprits ----

void Stream::NextSearchStep(ResourceType type) {
  NackTracker& nacks = state_[type].nacks;
  const NackBisection::Step step = nacks.NextStep(WantedOf(type));
  MarkCulprits(type, nacks.TakeCulprits(), true);
  nacks.ForgetHeadsIfOver();
  switch (step) {
    case NackBisection::Step::kTest:
      for (const auto& [key, version] : nacks.bisection().test())
        envoy_.Touch(state_, type, key.first);
      return;
    case NackBisection::Step::kControl:
      if (!SendControl(type)) GiveUpSearch(type);
      return;
    case NackBisection::Step::kOver:
      break;
  }
  // The neighbours of culprits may be in effect or not: what Envoy runs is sent again.
  for (const auto& [name, parts] : nacks.rejected()) {
    if (state_[type].sent.pending().contains(name)) envoy_.Touch(state_, type, name, true);
  }
  if (nacks.HasUnreported() && !envoy_.ignores_reports() && !SendControl(type) &&
      envoy_.content_acked()) {
    envoy_.ReportCulprits(state_, type, NackTracker::Trust::kAll);
  }
}

// Sends something again that the Envoy acked. Its answer shows whether it is good for anything.
// Returns false if there is nothing.
bool Stream::SendControl(ResourceType type) {
  const std::optional<std::string> name = state_[type].nacks.FindControl();
  if (!name.has_value()) return false;
  state_[type].nacks.SetControl();
  envoy_.Touch(state_, type, *name, true);
  return true;
}

void Stream::MarkCulprits(ResourceType type, std::vector<NackBisection::Culprit> culprits,
                          bool certain) {
  const std::vector<std::string> marked =
      state_[type].nacks.MarkCulprits(std::move(culprits), certain, WantedOf(type));
  for (const std::string& name : marked) envoy_.Touch(state_, type, name);
  envoy_.ReportCulprits(state_, type, NackTracker::Trust::kConfirmed);
}

// The Envoy rejects what it acked.
void Stream::GiveUpSearch(ResourceType type) {
  MarkCulprits(type, state_[type].nacks.GiveUp(), false);
  envoy_.IgnoreReports();
}

}  // namespace contour::xds
