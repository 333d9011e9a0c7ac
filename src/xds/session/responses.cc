// SPDX-License-Identifier: Apache-2.0
// Makes the responses of a stream: collects the names that changed, decides of one name after the
// other what goes out, and builds the response.

#include <algorithm>
#include <utility>

#include "xds/session/envoy_state.h"
#include "xds/session/hold_decision.h"
#include "xds/session/stream.h"
#include "xds/session/type_rules.h"

namespace contour::xds {

std::optional<Response> Stream::Next(Time now, std::size_t most) {
  allowance_ = most;
  // A response that is being made goes by one snapshot.
  if (!std::exchange(unfinished_, false)) envoy_.Refresh();
  std::optional<Response> response;
  for (const ResourceType type : kSendOrder) {
    response = Make(type, now);
    if (response.has_value() || unfinished_) break;
  }
  if (unfinished_) return response;
  envoy_.NoteListenersInSync();
  return response.has_value() ? std::move(response) : AnswerUnknownType();
}

// Takes one name from the allowance of Next(). Returns false if there is none left.
bool Stream::Spend() {
  ++envoy_.figures().examined;
  if (allowance_ == 0) {
    unfinished_ = true;
    return false;
  }
  if (allowance_ != kWithoutLimit) --allowance_;
  return true;
}

// Makes the next response of the type, which may be a test of the search for culprits.
std::optional<Response> Stream::Make(ResourceType type, Time now) {
  TypeState& state = state_[type];
  for (;;) {
    if (state.nacks.AwaitsStep() && state.sent.in_flight().empty() && !state.draft.has_value())
      NextSearchStep(type);
    std::optional<Response> response = MakeOne(type, now);
    if (unfinished_ || !state.nacks.AwaitsTest()) return response;
    if (response.has_value()) {
      state.nacks.SetTest(state.sent.in_flight().back().sequence);
      return response;
    }
    if (!state.sent.in_flight().empty() || state.nacks.bisection().test().empty())
      return std::nullopt;
    state.nacks.SkipTest();
  }
}

std::optional<Response> Stream::MakeOne(ResourceType type, Time now) {
  if (std::optional<Response> first = MakeFirst(type, now); first.has_value()) return first;
  if (!Collect(type, now) || !SendChanges(type)) return std::nullopt;
  ResponseDraft draft = std::move(*state_[type].draft);
  state_[type].draft.reset();
  return Build(type, std::move(draft), now);
}

// ---- The first content ----

// Returns the table that an Envoy that has nothing of the type yet is to be sent as a whole;
// nullptr: its resources have to be looked at one by one.
std::shared_ptr<const Table> Stream::FirstTable(ResourceType type) const {
  const TypeState& state = state_[type];
  const Snapshot& snapshot = envoy_.snapshot();
  if (!state.fresh() || !envoy_.identity().aggregated || !snapshot.exclusions().empty())
    return nullptr;
  const NameSet& names = state.names.names();
  if (type == ResourceType::kEndpoints && state.pending.JustSubscribed() &&
      !state.names.wildcard() && !names.empty())
    return envoy_.options().shared->Subset(snapshot.table(type), names);
  const Table& table = snapshot.table(type);
  if (!state.pending.JustEverything() || !names.empty() || table.empty()) return nullptr;
  // Assignments that were asked for before their clusters came are sent again one by one.
  const bool clusters = type == ResourceType::kCluster && envoy_.warming().empty() &&
                        envoy_.subscribers().Of(ResourceType::kEndpoints).empty();
  const bool scopes = type == ResourceType::kScopedRoutes && envoy_.AllClustersAreWarmFor(table);
  return clusters || scopes ? std::make_shared<const Table>(table) : nullptr;
}

// Sends all of the first content at once: what is kept of it is the same for all Envoys, so that
// very many of them can come at the same time.
std::optional<Response> Stream::MakeFirst(ResourceType type, Time now) {
  std::shared_ptr<const Table> table = FirstTable(type);
  if (table == nullptr) return std::nullopt;
  TypeState& state = state_[type];
  state.pending.Clear();
  ResponseDraft draft;
  draft.sequence = envoy_.NextSequence();
  const SharedTables::List list = envoy_.options().shared->Sorted(*table);
  state.sent.SendFirst({draft.sequence, table, list});
  envoy_.options().recent->Use(table);
  envoy_.options().recent->Use(list);
  if (type == ResourceType::kCluster) envoy_.FirstClustersSent(*table, draft.sequence);
  return Build(type, std::move(draft), now);
}

// ---- Collecting the names ----

// Decides what the next response holds. Returns false if there is none, or more names are to be
// looked at.
bool Stream::Collect(ResourceType type, Time now) {
  for (;;) {
    if (!state_[type].draft.has_value() && !BeginDraft(type)) return false;
    if (state_[type].draft->sequence > 0) return true;
    if (!DecideNames(type, now)) return false;
    envoy_.NoteWaits(state_);
    if (FinishDraft(type)) return true;
  }
}

// Returns false if there is nothing to do.
bool Stream::BeginDraft(ResourceType type) {
  TypeState& state = state_[type];
  // One by one as long as it matters which of them is rejected.
  const std::size_t limit =
      type == ResourceType::kCluster && !state.nacks.searching() ? kClusterResponses : 1;
  if (!state.names.started() || state.sent.in_flight().size() >= limit) return false;
  if (state.pending.TakeSubscribed()) {
    const NameSet& names = state.names.names();
    names.ForEach([&](const NamePtr& name) { state.pending.Set(name, true); });
    envoy_.figures().examined += names.size();
  }
  if (state.pending.TakeEverything()) AddEverything(type);
  if (state.pending.stalled() || (!state.pending.some() && !state.pending.answer())) return false;
  state.draft = ResponseDraft{};
  state.draft->names = state.pending.Take(InOneResponse(type) ? PendingNames::kAll : kNamesAtOnce);
  return true;
}

// Adds every name whose content differs from the snapshot's.
void Stream::AddEverything(ResourceType type) {
  TypeState& state = state_[type];
  Table::Diff(state.sent.table(), envoy_.snapshot().table(type),
              [&](const ResourcePtr& was, const ResourcePtr& is) {
                ++envoy_.figures().examined;
                state.pending.AddUnlessPending(NameOf(is != nullptr ? is : was));
              });
  // This Envoy may keep what the fleet's snapshot leaves out.
  for (const auto& [key, exclusions] : envoy_.snapshot().exclusions()) {
    if (key.first == type) state.pending.AddUnlessPending(MakeName(key.second));
  }
}

// True if everything that differs must be in one response.
bool Stream::InOneResponse(ResourceType type) const {
  const TypeState& state = state_[type];
  if (state.nacks.searching() || state.pending.whole_answer() || state_.SendsWhole(type))
    return true;
  // An Envoy that starts takes the first response for all that there is. It waits for each
  // assignment by itself.
  return type != ResourceType::kEndpoints && state.sent.version_sent().empty();
}

// Returns false if there are more.
bool Stream::DecideNames(ResourceType type, Time now) {
  ResponseDraft& draft = *state_[type].draft;
  for (; draft.next < draft.names.size(); ++draft.next) {
    if (!Spend()) return false;
    Decide(type, draft.names[draft.next], now);
  }
  return true;
}

// Returns true if the draft is to be sent. Else it is dropped.
bool Stream::FinishDraft(ResourceType type) {
  TypeState& state = state_[type];
  ResponseDraft& draft = *state.draft;
  if (draft.stalled) {  // the answer would withdraw what the Envoy has and we can't name
    state.pending.PutBack(std::move(draft.names));
  } else if (!draft.changes.empty() || state.pending.answer()) {
    draft.sequence = envoy_.NextSequence();
    draft.token = NewEditToken();
    return true;
  }
  state.draft.reset();
  return false;
}

// ---- Deciding one name ----

// Decides what of the name goes into the response that is being made.
void Stream::Decide(ResourceType type, PendingNames::Name& pending, Time now) {
  TypeState& state = state_[type];
  const std::string& name = *pending.name;
  if (const HeldResource* held = state.waiting.FindHeld(name); held != nullptr)
    pending.force = pending.force || held->force;
  state.waiting.Unblock(name);
  if (!state.names.Includes(name)) {
    DecideUnsubscribed(type, pending.name);
    return;
  }
  state.nacks.ForgetOutdated(name, WantedOf(type));
  ResourcePtr wanted = Wanted(type, name);
  if (wanted != nullptr) {
    wanted = state.nacks.WithoutRejected(wanted);
    const ResourcePtr acked = wanted == nullptr ? state.sent.Acked(name) : nullptr;
    if (delta() && acked != nullptr && !acked->known) {  // it stays, whatever it is
      state.waiting.Release(name);
      return;
    }
  }
  const ResourcePtr sent = state.sent.Find(name);
  if (sent != nullptr && !SameVersion(sent, wanted) && envoy_.IsLacking(type, name, wanted) &&
      !envoy_.MayWithdraw(type, name, now)) {
    DecideRetained(type, pending.name, sent, pending.force);
  } else if (wanted == nullptr) {
    DecideWithdrawn(type, pending.name, pending.force);
  } else {
    DecideContent(type, pending.name, wanted, pending.force, now);
  }
}

// Answers a name of a secret that isn't remembered.
void Stream::DecideUnsubscribed(ResourceType type, const NamePtr& name) {
  TypeState& state = state_[type];
  state.waiting.Release(*name);
  if (state.names.TakeTurnedAway(*name)) state.draft->changes.push_back({name, nullptr});
}

// The snapshot lacks the resource, but it is still in use.
void Stream::DecideRetained(ResourceType type, const NamePtr& name, const ResourcePtr& sent,
                            bool force) {
  TypeState& state = state_[type];
  state.waiting.Release(*name);
  // The whole state can't hold what was nacked, of clusters what the error message names. What the
  // Envoy doesn't have can go.
  const bool nacked = state_.SendsWhole(type) && state.sent.IsNacked(*name) &&
                      (type != ResourceType::kCluster || Names(state.nacks.error_message(), *name));
  const ResourcePtr has = nacked ? state.sent.Acked(*name) : sent;
  if (has != nullptr) state.waiting.Block(*name);
  if (nacked || (force && sent->known)) state.draft->changes.push_back({name, has});
}

// Nothing is to be under this name.
void Stream::DecideWithdrawn(ResourceType type, const NamePtr& name, bool force) {
  TypeState& state = state_[type];
  state.waiting.Release(*name);
  // A secret that was nacked: the Envoy may have one from before that came with something bad.
  if (delta() && type == ResourceType::kSecret && state.sent.IsNacked(*name) &&
      envoy_.snapshot().Find(type, *name) != nullptr)
    return;
  const bool sent = state.sent.table().Contains(*name);
  if (delta() ? (sent || force) : (sent && Info(type).whole)) {
    state.draft->changes.push_back({name, nullptr});
  } else if (sent) {
    // State of the world can't say of these types that something is withdrawn.
    state.sent.Forget(*name);
    envoy_.NoteClusterReferences(state_, type, *name);
  }
}

void Stream::DecideContent(ResourceType type, const NamePtr& name, const ResourcePtr& wanted,
                           bool force, Time now) {
  TypeState& state = state_[type];
  const Sendable sendable = HoldUntilWarm(type, wanted, force, now);
  if (sendable.absent) {
    if (state.sent.table().Contains(*name)) state.draft->changes.push_back({name, nullptr});
    return;
  }
  if (sendable.view == nullptr) {
    DecideHeld(type, name, force);
    return;
  }
  if (!force && SameVersion(state.sent.Find(*name), sendable.view) && !state.sent.IsNacked(*name))
    return;
  state.draft->released += sendable.released;
  state.draft->changes.push_back({name, sendable.view});
}

// The resource waits as a whole.
void Stream::DecideHeld(ResourceType type, const NamePtr& name, bool force) {
  TypeState& state = state_[type];
  const bool whole = state_.SendsWhole(type);
  const ResourcePtr sent = state.sent.Find(*name);
  if (whole && sent != nullptr && !sent->known) state.draft->stalled = true;
  // While the next content waits, the whole state must not go on with one that was nacked.
  if (whole && state.sent.IsNacked(*name)) {
    state.draft->changes.push_back({name, state.sent.Acked(*name)});
  } else if (force && sent != nullptr && sent->known) {
    state.draft->changes.push_back({name, sent});
    state.waiting.ClearForce(*name);
  }
}

// Returns what of `wanted` may be sent now, and holds the rest.
Stream::Sendable Stream::HoldUntilWarm(ResourceType type, const ResourcePtr& wanted, bool force,
                                       Time now) {
  TypeState& state = state_[type];
  const std::string& name = wanted->name;
  if ((wanted->clusters.empty() && wanted->parts.empty()) || !envoy_.JudgesWarmth(now) ||
      envoy_.AllClustersAreWarmFor(*wanted)) {
    state.waiting.Release(name);
    return {wanted, false, 0};
  }
  const ResourcePtr base =
      state.sent.IsNacked(name) ? state.sent.Acked(name) : state.sent.Find(name);
  HoldDecision decision(envoy_, state.waiting.FindHeld(name), now);
  decision.Compare(base, *wanted);
  Sendable sendable{nullptr, false, decision.released()};
  if (!decision.all_waits()) {
    sendable.view = decision.View(wanted);
    // Nothing would be left, which Envoy rejects: so it keeps what it has, or has none yet.
    if (decision.some_waits() && Info(type).needs_parts && sendable.view->parts.empty()) {
      sendable.view = base;
      sendable.absent = base == nullptr;
    }
  }
  if (decision.holds()) {
    state.waiting.Hold(name, std::move(decision).TakeHeld(force));
  } else {
    state.waiting.Release(name);
  }
  return sendable;
}

// ---- Building the response ----

// Notes the changes as sent. Returns false if there are more.
bool Stream::SendChanges(ResourceType type) {
  TypeState& state = state_[type];
  state.sent.SpellOut();  // a second response is about to be in flight
  ResponseDraft& draft = *state.draft;
  for (; draft.sent < draft.changes.size(); ++draft.sent) {
    if (!Spend()) return false;
    envoy_.Sent(state_, type, draft.changes[draft.sent], draft.sequence, draft.token);
  }
  return true;
}

Response Stream::Build(ResourceType type, ResponseDraft draft, Time now) {
  TypeState& state = state_[type];
  SessionFigures& figures = envoy_.figures();
  const Table& all = envoy_.snapshot().table(type);
  Response response;
  response.protocol = state_.protocol();
  response.type = type;
  response.nonce = std::to_string(++nonces_);
  state.sent.ShareTable(all, *envoy_.options().shared);
  if (state.sent.first().has_value()) {  // this is its response
    response.resources = *state.sent.first()->list;
  } else if (delta() || (!state_.SendsWhole(type) && !state.pending.whole_answer())) {
    for (const Change& change : draft.changes) {
      if (change.content != nullptr) {
        response.resources.push_back(change.content);
      } else {
        response.removed.push_back(*change.name);
      }
    }
  } else {
    response.resources = state.sent.table().Sorted();
    std::erase_if(response.resources, [](const ResourcePtr& resource) { return !resource->known; });
  }
  response.version = (delta() ? all : state.sent.table()).version().Hex();
  state.pending.Answered();
  const InFlight& sent = state.sent.AddResponse({response.nonce, response.version, draft.sequence,
                                                 std::move(draft.changes), state.sent.table(), now,
                                                 TimeMark(figures.unanswered, now)});
  for (const Change& change : sent.changes)
    envoy_.NoteClusterReferences(state_, type, *change.name);
  figures.counters.released += draft.released;
  ++figures.counters.responses[Index(type)];
  return response;
}

}  // namespace contour::xds
