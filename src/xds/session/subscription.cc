// SPDX-License-Identifier: Apache-2.0

#include "xds/session/subscription.h"

#include <algorithm>
#include <charconv>
#include <iterator>

#include "base/status.h"
#include "xds/session/node_fault.h"

namespace contour::xds {
namespace {

constexpr std::string_view kWildcard = "*";

// How long a stream per type that ended still counts as using what it was told: Envoy retries
// within 30 s.
constexpr std::chrono::seconds kGhostTime{60};

// An Envoy that says nothing of its clusters so long after it subscribed to endpoints again is
// warming some.
constexpr std::chrono::seconds kWarmingShows{1};

// Rejected contents of one resource that are remembered until one is accepted.
constexpr std::size_t kRejectedContents = 16;

// So many rejections of one type without an acceptance between them are no search any more: of
// 5,000 items one takes 13, and after every eighth culprit there is a control.
constexpr std::size_t kRejectionsInRow = 200;

// How long after a NACK that speaks of the node the resource is sent again. Each further one
// doubles it, up to the limit.
constexpr std::chrono::seconds kNodeFaultWait{5};
constexpr unsigned kNodeFaultDoublings = 4;

// States of ended streams that a session remembers: of one stream per route configuration there may
// be many.
constexpr std::size_t kRememberedStates = 256;

// In which order the types are written.
constexpr std::array<ResourceType, kResourceTypes> kOrder = {
    ResourceType::kCluster,  ResourceType::kEndpoints, ResourceType::kSecret,
    ResourceType::kListener, ResourceType::kRoutes,    ResourceType::kScopedRoutes};

// Of secrets it is a name like any other: that is what Envoy asks for by a client's server name
// "*".
bool IsWildcard(ResourceType type, std::string_view name) {
  return name == kWildcard && type != ResourceType::kSecret;
}

std::size_t Rank(ResourceType type) {
  return static_cast<std::size_t>(std::find(kOrder.begin(), kOrder.end(), type) - kOrder.begin());
}

// Of these types the parts and resources name clusters.
constexpr std::array<ResourceType, 3> kUsers = {ResourceType::kListener, ResourceType::kRoutes,
                                                ResourceType::kScopedRoutes};

bool IsUser(ResourceType type) {
  return std::find(kUsers.begin(), kUsers.end(), type) != kUsers.end();
}

// A version from the wire; one that isn't ours is like nothing of ours.
Hash128 ParseVersion(std::string_view text) {
  Hash128 version;
  const char* begin = text.data();
  const auto half = [&](const char* from, std::uint64_t& value) {
    const auto [end, error] = std::from_chars(from, from + 16, value, 16);
    return error == std::errc() && end == from + 16;
  };
  if (text.size() == 32 && half(begin, version.high) && half(begin + 16, version.low))
    return version;
  return HashPair("foreign", text);
}

}  // namespace

// ---- Stream: requests ----

Stream::Stream(Session& session, std::uint64_t id, Protocol protocol)
    : session_(session), id_(id), protocol_(protocol) {
  state(ResourceType::kSecret).secrets.CountUnknownIn(session.unknown_secrets_);
}

void Stream::Touch(ResourceType type, const std::string& name, bool force) {
  const auto known = state(type).dirty.find(name);
  Touch(type, known == state(type).dirty.end() ? MakeName(name) : known->first, force);
}

void Stream::Touch(ResourceType type, const NamePtr& name, bool force) {
  State& s = state(type);
  ++session_.examined_;
  bool& forced = s.dirty.try_emplace(name, false).first->second;
  forced = forced || force;
  s.stalled = false;
  session_.ready_.emplace(Rank(type), id_);
}

void Stream::AddName(ResourceType type, const std::string& name, EditToken token) {
  State& s = state(type);
  if (type == ResourceType::kSecret && delta() && !s.names.Contains(name) &&
      !s.secrets.Add(name, session_.FindSecret(name) != nullptr)) {
    s.turned_away.insert(name);
    ++session_.counters_.turned_away;
    return;
  }
  s.names.Insert(name, token);
  if (NotesWhenAsked(type)) s.asked.insert_or_assign(name, session_.sequence_);
  session_.AddSubscriber(type, name, *this);
}

// Subscribes to all of `names`. REQUIRES: the stream subscribes to none of the type yet.
void Stream::AddNames(ResourceType type, const std::vector<std::string>& names) {
  if (type == ResourceType::kSecret || !session_.identity_.aggregated) {
    const EditToken token = NewEditToken();
    for (const std::string& name : names) AddName(type, name, token);
  } else {
    state(type).names = session_.options_.shared->MakeNames(names);
  }
}

// True if it matters when a name was subscribed: there each cluster asks for its assignment on a
// stream of its own (see SettleSharers).
bool Stream::NotesWhenAsked(ResourceType type) const {
  return type == ResourceType::kEndpoints && !session_.identity_.aggregated;
}

bool Stream::RemoveName(ResourceType type, const std::string& name) {
  State& s = state(type);
  s.turned_away.erase(name);
  if (!s.names.Erase(name)) return false;
  s.asked.erase(name);
  s.secrets.Remove(name);
  session_.RemoveSubscriber(type, name, *this);
  return true;
}

// No longer subscribed: the Envoy drops it by itself.
void Stream::Forget(ResourceType type, const std::string& name) {
  State& s = state(type);
  SpellOut(type);
  if (type == ResourceType::kCluster && s.told.Contains(name))
    session_.ClusterWithdrawn(name, s.told.Find(name));
  s.told.Remove(name);
  EraseName(s.irregular, name);
  EraseName(s.dirty, name);
  DropHold(type, name);
  s.blocked.erase(name);
  s.refused.erase(name);
  s.node_faults.erase(name);
  session_.NoteHeld(type, name, *this);
}

void Stream::KeepOnlyNames(ResourceType type) {
  State& s = state(type);
  s.wildcard = false;
  s.all = false;
  session_.SetWildcard(type, *this, false);
  std::vector<std::string> gone;
  s.told.ForEach([&](const ResourcePtr& told) {
    if (!s.names.Contains(told->name)) gone.push_back(told->name);
  });
  for (const std::string& name : gone) Forget(type, name);
}

absl::Status Stream::OnRequest(const Request& request, Time now) {
  const TypeInfo* info = FindType(request.type_url);
  if (info == nullptr) return OnUnknownType(request);
  session_.Begin(now);
  session_.Refresh();
  State& s = state(info->type);
  const Hash128 names = s.names.version();
  if (delta()) {
    OnDelta(info->type, request, now);
  } else {
    OnStateOfTheWorld(info->type, request, now);
  }
  if (s.names.version() != names) session_.options_.shared->Share(s.names);
  s.stalled = false;
  session_.NoteListenersInSync();
  session_.ready_.emplace(Rank(info->type), id_);
  return absl::OkStatus();
}

absl::Status Stream::OnUnknownType(const Request& request) {
  const std::string& url = request.type_url;
  const bool known = unknown_types_.contains(url);
  if (url.empty() || !session_.identity().aggregated ||
      (!known && unknown_types_.size() >= kUnknownTypes))
    return InvalidArgument("no resource registered for typeURL {}", Quote(url));
  if (!known) {
    unknown_types_.insert(url);
    if (session_.options_.on_unknown_type) session_.options_.on_unknown_type(url);
  } else if (!delta() || request.subscribe.empty()) {
    return absl::OkStatus();  // an acknowledgement, or other names that don't exist either
  }
  unknown_asked_.emplace_back(url, request.subscribe);
  session_.ready_.emplace(kResourceTypes, id_);
  return absl::OkStatus();
}

std::optional<Response> Stream::AnswerUnknownType() {
  if (unknown_asked_.empty()) return std::nullopt;
  auto [url, names] = std::move(unknown_asked_.front());
  unknown_asked_.pop_front();
  std::erase(names, kWildcard);
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  Response response;
  response.protocol = protocol_;
  response.unknown_type_url = std::move(url);
  response.nonce = std::to_string(++nonces_);
  response.removed = std::move(names);
  return response;
}

void Stream::FirstStateOfTheWorld(ResourceType type, const Request& request, Time now) {
  State& s = state(type);
  s.subscribed = s.answer = s.resend = true;
  std::vector<std::string> asked = request.names;
  s.wildcard = IsWildcard(type, kWildcard) && std::erase(asked, kWildcard) > 0;
  AddNames(type, asked);
  s.wildcard = s.all = s.wildcard || s.names.empty();
  if (s.wildcard) session_.SetWildcard(type, *this, true);
  s.all_names = true;
  const bool resuming = !request.version.empty();
  Table subset = s.wildcard && resuming ? session_.snapshot_->table(type) : Table();
  if (resuming) {
    const EditToken token = NewEditToken();
    s.names.ForEach([&](const NamePtr& name) {
      if (ResourcePtr wanted = Wanted(type, *name); wanted != nullptr)
        subset.Set(std::move(wanted), token);
    });
  }
  // The subset as it was before contents were excluded from it.
  Table published = subset;
  for (const auto& [key, exclusions] : session_.snapshot_->exclusions()) {
    if (key.first == type && (s.wildcard || s.names.Contains(key.second)))
      published.Set(exclusions.front().published);
  }
  // The version doesn't say which routes it has since when: those of a listener that we sent just
  // now are new to it.
  const bool telling = type != ResourceType::kRoutes || !session_.listeners_changed_;
  if (resuming && telling && subset.version().Hex() == request.version) {
    s.told = std::move(subset);  // it has just this
  } else if (resuming && telling && published.version().Hex() == request.version) {
    s.told = std::move(published);
  } else if (const Table* had = session_.Recall(type, request.version);
             resuming && telling && had != nullptr) {
    const EditToken token = NewEditToken();
    had->ForEach([&](const ResourcePtr& resource) {
      if (!s.wildcard && !s.names.Contains(resource->name)) return;
      s.told.Set(resource, token);
      s.unknown_told = s.unknown_told || !resource->known;
    });
  } else if (resuming) {
    s.unrecognised = true;
    if (type == ResourceType::kCluster) session_.warming_.SetUnrecognised();
    if (IsUser(type) || type == ResourceType::kEndpoints) {
      // It has something under these names, which may be in use.
      const EditToken token = NewEditToken();
      subset.ForEach(
          [&](const ResourcePtr& resource) { s.told.Set(MakeUnknown(resource->name, {}), token); });
      s.unknown_told = true;
    }
  }
  // A stream from before isn't that of a cluster sent since (see SettleSharers).
  if (resuming) {
    for (auto& [name, sequence] : s.asked) sequence = 0;
  }
  session_.Subscribed(type, *this, resuming, now);
  if (resuming) session_.DisputeExclusions(type);
}

// A name that was dropped and is wanted again is subscribed anew, also if only a stale request says
// so.
void Stream::NoteMissed(ResourceType type, const Request& request) {
  State& s = state(type);
  const StringSet names(request.names.begin(), request.names.end());
  s.names.ForEach([&](const NamePtr& name) {
    if (!names.contains(*name)) s.missed.insert(*name);
  });
}

void Stream::OnStateOfTheWorld(ResourceType type, const Request& request, Time now) {
  State& s = state(type);
  if (!s.subscribed) {
    FirstStateOfTheWorld(type, request, now);
    return;
  }
  if (!request.nonce.empty()) {
    s.uses_nonces = true;
    Resolve(type, request, now);
    if (request.nonce != s.last_nonce) {  // stale: what it asks for will be asked again
      NoteMissed(type, request);
      return;
    }
  } else if (!s.last_nonce.empty()) {
    // Without a nonce, from an Envoy, it is older than the last response and says only which names
    // it wants by now. A client that never sends nonces repeats itself: it has seen the response.
    if (s.uses_nonces) {
      NoteMissed(type, request);
      return;
    }
    const StringSet asked(request.names.begin(), request.names.end());
    const bool same = std::all_of(asked.begin(), asked.end(), [&](const std::string& name) {
      return IsWildcard(type, name) ? s.wildcard : s.names.Contains(name);
    });
    if (same && asked.size() >= s.names.size()) {
      Request meant = request;
      meant.nonce = s.last_nonce;
      Resolve(type, meant, now);
    }
  }

  StringSet names(request.names.begin(), request.names.end());
  const bool explicit_wildcard =
      IsWildcard(type, kWildcard) && names.erase(std::string(kWildcard)) > 0;
  // An empty list stays the wildcard that it was from the start; after names it means none.
  const bool wildcard = explicit_wildcard || (names.empty() && s.wildcard);
  std::vector<std::string> dropped;
  s.names.ForEach([&](const NamePtr& name) {
    if (!names.contains(*name)) dropped.push_back(*name);
  });
  for (const std::string& name : dropped) {
    RemoveName(type, name);
    if (!wildcard) Forget(type, name);
  }
  const EditToken token = NewEditToken();
  if (wildcard && !s.wildcard) {
    s.wildcard = s.all = s.answer = true;
    session_.SetWildcard(type, *this, true);
  } else if (!wildcard && s.wildcard) {
    for (const std::string& name : names) AddName(type, name, token);
    KeepOnlyNames(type);
    // Asked for by name: sent again. What came by the wildcard an Envoy without such a name
    // ignored.
    for (const std::string& name : names) Touch(type, name, true);
    s.answer = true;
  }
  const StringSet missed = std::exchange(s.missed, {});
  for (const std::string& name : names) {
    if (s.names.Contains(name) && !missed.contains(name)) continue;
    AddName(type, name, token);
    s.answer = true;  // asked for: answered, whether it exists or not
    Touch(type, name, true);
  }
}

// True if the Envoy has just what the snapshot has of the type, and asks for no more.
bool Stream::ResumesWithAll(ResourceType type, const Request& request) const {
  const State& s = state(type);
  const Table& table = session_.snapshot_->table(type);
  if (type == ResourceType::kSecret || request.initial_versions.size() != table.size() ||
      table.empty() || !session_.snapshot_->exclusions().empty())
    return false;
  // The assignments of cold clusters are sent again.
  if (type == ResourceType::kEndpoints && session_.warming_.AwaitsAnyAssignment()) return false;
  Hash128 version;
  for (const auto& [name, text] : request.initial_versions) version += ParseVersion(text);
  if (version != table.version()) return false;
  if (s.wildcard) return s.names.empty();
  if (s.names.size() != table.size() || NotesWhenAsked(type)) return false;
  const auto subset = session_.options_.shared->Subset(table, s.names);
  if (subset != nullptr) session_.options_.recent->Use(subset);
  return subset != nullptr;
}

// Notes what the Envoy has of each resource. Only the difference will be sent, except of a cluster
// that waits for its assignment.
void Stream::ResumeEach(ResourceType type, const Request& request) {
  State& s = state(type);
  s.names.ForEach([&](const NamePtr& name) { s.dirty.insert_or_assign(name, true); });
  const EditToken token = NewEditToken();
  for (const auto& [name, text] : request.initial_versions) {
    const bool named = s.names.Contains(name);
    if (!s.wildcard && !named) continue;
    ResourcePtr has = session_.Named(type, name, ParseVersion(text));
    s.unknown_told = s.unknown_told || !has->known;
    s.told.Set(std::move(has), token);
    if (!named) continue;
    session_.warming_.SpellOut();
    s.dirty.find(name)->second = type == ResourceType::kEndpoints &&
                                 session_.identity_.aggregated &&
                                 session_.warming_.AwaitsAssignment(name);
    if (NotesWhenAsked(type)) s.asked[name] = 0;  // nor is it that of a cluster sent since
  }
}

void Stream::FirstDelta(ResourceType type, const Request& request, Time now) {
  State& s = state(type);
  s.subscribed = true;
  std::vector<std::string> names = request.subscribe;
  bool wildcard = names.empty() && IsWildcard(type, kWildcard);
  // So Envoy begins a stream that is about "*" alone, also where that is a name.
  if (names.empty() && !wildcard) names.emplace_back(kWildcard);
  if (IsWildcard(type, kWildcard)) wildcard = std::erase(names, kWildcard) > 0 || wildcard;
  AddNames(type, names);
  s.wildcard = s.all = s.answer = wildcard;
  if (wildcard) session_.SetWildcard(type, *this, true);
  const bool resuming = !request.initial_versions.empty();
  if (ResumesWithAll(type, request)) {
    s.told = session_.snapshot_->table(type);
  } else {
    for (const std::string& name : s.turned_away) s.dirty.insert_or_assign(MakeName(name), true);
    s.all_names = !resuming;
    if (resuming) ResumeEach(type, request);
  }
  if (type == ResourceType::kEndpoints && resuming) session_.EndpointsResumed(now);
  session_.Subscribed(type, *this, resuming, now);
  if (resuming) session_.DisputeExclusions(type);
}

void Stream::OnDelta(ResourceType type, const Request& request, Time now) {
  State& s = state(type);
  if (!s.subscribed) {
    FirstDelta(type, request, now);
    return;
  }
  if (!request.nonce.empty()) Resolve(type, request, now);
  const EditToken token = NewEditToken();
  for (const std::string& name : request.subscribe) {
    if (!IsWildcard(type, name)) {
      AddName(type, name, token);
      Touch(type, name, true);
      continue;
    }
    s.wildcard = s.all = s.answer = true;
    session_.SetWildcard(type, *this, true);
    s.told.ForEach([&](const ResourcePtr& told) { Touch(type, NameOf(told), true); });
  }
  for (const std::string& name : request.unsubscribe) {
    if (IsWildcard(type, name)) {
      KeepOnlyNames(type);
      continue;
    }
    if (!RemoveName(type, name)) continue;
    if (s.wildcard) {
      Touch(type, name,
            true);  // still subscribed through the wildcard, which the client may not know
    } else {
      Forget(type, name);
    }
  }
}

// ---- Stream: acknowledgements ----

ResourcePtr Stream::InFlight::Find(const std::string& name) const {
  const auto change = std::lower_bound(
      changes.begin(), changes.end(), name,
      [](const Change& one, const std::string& wanted) { return *one.name < wanted; });
  return change != changes.end() && *change->name == name ? change->told : nullptr;
}

bool Stream::Resolve(ResourceType type, const Request& request, Time now) {
  State& s = state(type);
  const auto named =
      std::find_if(s.in_flight.begin(), s.in_flight.end(),
                   [&](const InFlight& response) { return response.nonce == request.nonce; });
  if (named == s.in_flight.end()) return false;
  if (request.error.has_value()) {
    SpellOut(type);
    session_.warming_.SpellOut();
  }
  const auto index = static_cast<std::size_t>(named - s.in_flight.begin());
  // Earlier responses were processed before. Envoy may leave out their acknowledgements (it
  // withholds them and sends the last); at a rejection the version, of state of the world, says how
  // far it had come.
  std::size_t accepted = index;
  if (request.error.has_value() && !delta()) {
    accepted = 0;
    for (std::size_t i = 0; i < index; ++i) {
      if (s.in_flight[i].version == request.version) accepted = i + 1;
    }
  }
  const bool last = index + 1 == s.in_flight.size();
  std::uint64_t sequence = 0;
  for (std::size_t i = 0; i <= index; ++i) {
    const InFlight response = std::move(s.in_flight.front());
    sequence = response.sequence;
    s.in_flight.pop_front();
    if (i < accepted || (i == index && !request.error.has_value())) {
      session_.counters_.acknowledged.Observe(now - response.sent);
      Accept(type, response, now);
    } else if (i == index) {
      Reject(type, response, *request.error, now);
    } else {  // neither: a later word will tell
      for (const Change& change : response.changes) {
        const auto at = s.irregular.find(*change.name);
        if (at == s.irregular.end() || at->second.since > response.sequence) continue;
        --at->second.in_flight;
      }
    }
    for (const Change& change : response.changes) session_.NoteHeld(type, *change.name, *this);
  }
  // The whole state was accepted: also what came in responses that were rejected before.
  if (!request.error.has_value() && !delta() && Info(type).whole && last) {
    std::vector<NamePtr> names;
    for (const auto& [name, irregular] : s.irregular) {
      const ResourcePtr told = s.told.Find(*name);
      if (told == nullptr || told->known) names.push_back(name);
    }
    for (const NamePtr& name : names) {
      s.irregular.erase(name);
      session_.NoteHeld(type, *name, *this);
      if (type == ResourceType::kCluster)
        session_.ApplyWarming(session_.warming_.ClusterAcked(*name, sequence, now));
    }
    FreeIfEmpty(s.irregular);
  }
  session_.ready_.emplace(Rank(type), id_);
  return true;
}

void Stream::Accept(ResourceType type, const InFlight& response, Time now) {
  State& s = state(type);
  const bool first = s.first.has_value() && s.first->sequence == response.sequence;
  bool content = first || (!delta() && Info(type).whole && !response.told.empty());
  if (first) AcceptFirst(type, *std::exchange(s.first, std::nullopt), now);
  for (const Change& change : response.changes) {
    content = content || change.told != nullptr;
    AcceptChange(type, change, response.sequence, now);
    if (change.told != nullptr && !s.node_faults.empty()) EndNodeFault(type, *change.name);
  }
  FreeIfEmpty(s.irregular);
  s.unrecognised = false;
  s.accepted = response.told;
  s.version_acknowledged = response.version;
  if (type == ResourceType::kCluster) {
    session_.resend_endpoints_at_.reset();
    session_.ApplyWarming(session_.warming_.ResponseAcked(response.sequence, now));
  }
  if (s.search.testing() && s.test == response.sequence) {
    s.test = 0;
    s.search.OnAccepted([&](const NackBisection::Key& key, const Hash128& version) {
      const ResourcePtr told = response.told.Find(key.first);
      return told != nullptr && told->known && ContentVersion(*told, key.second) == version;
    });
  }
  const bool control = std::exchange(s.control, false);
  if (!content) return;
  s.rejections_in_row = 0;
  TellOn(type, control ? Trust::kAll : Trust::kAccepted);
  session_.ContentAccepted();
  session_.DisputeExclusions(type);
}

void Stream::AcceptFirst(ResourceType type, const FirstContent& first, Time now) {
  Warming& warming = session_.warming_;
  if (type == ResourceType::kCluster)
    session_.ApplyWarming(warming.FirstClustersAcked(first.sequence, now));
  if (type == ResourceType::kEndpoints)
    session_.ApplyWarming(warming.FirstAssignmentsAcked(*first.table, first.sequence, now));
}

void Stream::AcceptChange(ResourceType type, const Change& change, std::uint64_t sequence,
                          Time now) {
  State& s = state(type);
  ++session_.examined_;
  const auto at = s.irregular.find(*change.name);
  if (at == s.irregular.end() || at->second.since > sequence) {
    MayRun(type, change);
    return;
  }
  Irregular& irregular = at->second;
  irregular.acknowledged = change.told;
  irregular.rejected = nullptr;
  irregular.perhaps.clear();
  irregular.lost = false;
  --irregular.in_flight;
  if (irregular.in_flight == 0 && SameVersion(s.told.Find(*change.name), change.told))
    s.irregular.erase(at);
  if (change.told == nullptr) return;
  Warming& warming = session_.warming_;
  if (type == ResourceType::kCluster)
    session_.ApplyWarming(warming.ClusterAcked(*change.name, sequence, now));
  if (type == ResourceType::kEndpoints)
    session_.ApplyWarming(warming.AssignmentAcked(*change.told, id_, s.asked, sequence, now));
}

// The Envoy may run this: it was rejected together with others, or its name was unsubscribed and
// subscribed again while it was under way.
void Stream::MayRun(ResourceType type, const Change& change) {
  State& s = state(type);
  if (!IsUser(type) || change.told == nullptr) return;
  if (!s.wildcard && !s.names.Contains(*change.name)) return;
  Irregular& irregular = s.irregular[change.name];
  if (irregular.perhaps.size() < kRejectedContents) {
    irregular.perhaps.push_back(change.told);
  } else {
    irregular.lost = true;
  }
}

// The Envoy runs what it ran before, except that it may have applied some of the response.
void Stream::Reject(ResourceType type, const InFlight& response, const std::string& words,
                    Time now) {
  State& s = state(type);
  Rejection rejection{type, session_.identity_.node_id, session_.identity_.peer, words, {}};
  const bool whole = !delta() && Info(type).whole;
  const bool together = (whole ? response.told.size() : response.changes.size()) > 1;
  bool content = false;
  bool withdrawals = false;
  for (const Change& change : response.changes) {
    rejection.names.push_back(*change.name);
    if (change.told == nullptr) {  // nothing that could be bad
      withdrawals = true;
      AcceptChange(type, change, response.sequence, now);
      continue;
    }
    content = true;
    // A new one whose assignment was acknowledged after it: so the Envoy has it, and hosts may use
    // it. (It may share the assignment; but of clusters Envoy names those that it refuses.)
    if (type == ResourceType::kCluster && !session_.warming_.Contains(*change.name) &&
        Runs(type, *change.name) == nullptr && !Names(words, *change.name)) {
      AcceptChange(type, change, response.sequence, now);
      continue;
    }
    const auto at = s.irregular.find(*change.name);
    if (at != s.irregular.end() && at->second.since <= response.sequence) {
      --at->second.in_flight;
      at->second.rejected = change.told;
    }
    if (together) MayRun(type, change);
  }
  ++s.rejections_in_row;
  s.error_message = words;
  s.rejected_at = now;
  ++session_.counters_.rejections[Index(type)];
  if (session_.options_.on_rejection) session_.options_.on_rejection(rejection);

  if (type == ResourceType::kCluster) {  // likewise of responses before
    StringSet named;
    s.search.ForEach(
        [&](const NackBisection::Key& key, const Hash128&, const std::string& suspicion) {
          if (Names(suspicion, key.first)) named.insert(key.first);
        });
    for (auto& [key, irregular] : s.irregular) {
      const std::string& name = *key;
      const ResourcePtr told = s.told.Find(name);
      if (told == nullptr || !told->known || irregular.acknowledged != nullptr ||
          irregular.in_flight > 0 || session_.warming_.Contains(name) || Names(words, name) ||
          named.contains(name) || s.refused.contains(name))
        continue;
      irregular.acknowledged = told;
      irregular.rejected = nullptr;
      session_.NoteRetained(name, *this);
    }
  }
  bool explained = false;
  NackBisection::Items suspects = Suspects(type, response, explained);
  if (SpeaksOfNode(words)) {
    suspects = SetAsideNodeFaults(type, response, suspects, words, now);
    explained = true;
  }
  // Also what came in a response before, of whose fate nothing was said.
  const auto refuse = [&](const std::string& name) {
    Touch(type, name);
    const auto at = s.irregular.find(name);
    const ResourcePtr told = response.told.Find(name);
    if (at != s.irregular.end() && SameVersion(told, s.told.Find(name))) at->second.rejected = told;
  };
  for (const auto& [key, version] : suspects) {
    refuse(key.first);
    NoteHead(type, key, response);
  }
  if (type == ResourceType::kCluster && whole) {
    for (const auto& [name, irregular] : s.irregular) {
      if (session_.snapshot_->Find(type, *name) == nullptr && Names(words, *name)) refuse(*name);
    }
  }
  const bool tested = s.search.testing() && s.test == response.sequence;
  if (tested) s.test = 0;
  s.control = false;
  const bool hopeless = s.rejections_in_row > kRejectionsInRow;
  if (hopeless || (suspects.empty() && !explained && content && !withdrawals)) {
    // It had accepted all that this held: what it says is of no use.
    if (hopeless) s.search.OnRefused(suspects, words, tested, explained);
    Convict(type, s.search.GiveUp(), false);
    session_.Distrust();
    return;
  }
  s.search.OnRefused(suspects, words, tested, explained);
  // What is no suspect, but came because a cluster has to warm, is still awaited.
  for (const Change& change : response.changes) {
    const bool cold =
        type == ResourceType::kCluster
            ? session_.warming_.Contains(*change.name)
            : type == ResourceType::kEndpoints && session_.warming_.AwaitsAssignment(*change.name);
    if (!cold || change.told == nullptr) continue;
    const bool blank = type == ResourceType::kEndpoints &&
                       change.told->version == MakeBlank(*change.name)->version;
    if (blank || SameVersion(Runs(type, *change.name), change.told)) Touch(type, change.name, true);
  }
}

// Refuses what the node couldn't take until it is sent again: of a resource of which the Envoy runs
// nothing the resource as a whole, so that a change of one part isn't sent before. Returns the
// suspects that the words don't concern.
NackBisection::Items Stream::SetAsideNodeFaults(ResourceType type, const InFlight& response,
                                                const NackBisection::Items& suspects,
                                                const std::string& words, Time now) {
  State& s = state(type);
  const bool named = std::any_of(suspects.begin(), suspects.end(),
                                 [&](const auto& item) { return Names(words, item.first.first); });
  NackBisection::Items rest;
  std::set<std::string> concerned;
  for (const auto& [key, version] : suspects) {
    const std::string& name = key.first;
    if (named && !Names(words, name)) {
      rest.emplace(key, version);
      continue;
    }
    concerned.insert(name);
    const ResourcePtr runs = Runs(type, name);
    const bool known = runs != nullptr && runs->known;
    const std::optional<std::string> part = known ? key.second : std::nullopt;
    Refusal refusal;
    refusal.version = known ? version : *ContentVersion(*response.told.Find(name), std::nullopt);
    refusal.error_message = words;
    refusal.node_fault = true;
    s.refused[name].insert_or_assign(part, std::move(refusal));
    Touch(type, name);
  }
  for (const std::string& name : concerned) {
    auto& [times, share] = s.node_faults[name];
    share = Share(session_.node_faults_, 1);
    const auto wait = kNodeFaultWait * (1U << std::min(times, kNodeFaultDoublings));
    session_.retries_.emplace(now + wait, Session::Retry{id_, type, name});
    if (times++ == 0) session_.ReportNodeFault({type, name, std::nullopt}, words, false);
  }
  return rest;
}

// Sends again what the node couldn't take.
void Stream::RetryNodeFault(ResourceType type, const std::string& name) {
  State& s = state(type);
  const auto at = s.refused.find(name);
  if (at == s.refused.end()) return;
  std::erase_if(at->second, [](const auto& refusal) { return refusal.second.node_fault; });
  if (at->second.empty()) s.refused.erase(at);
  s.rejections_in_row = 0;  // the search for culprits isn't concerned
  Touch(type, name);
}

// The Envoy acked a content of the resource. The fault is over if nothing of it is refused.
void Stream::EndNodeFault(ResourceType type, const std::string& name) {
  State& s = state(type);
  if (const auto at = s.refused.find(name); at != s.refused.end()) {
    const bool any = std::any_of(at->second.begin(), at->second.end(),
                                 [](const auto& refusal) { return refusal.second.node_fault; });
    if (any) return;
  }
  if (s.node_faults.erase(name) > 0) session_.ReportNodeFault({type, name, std::nullopt}, "", true);
}

// True if the content is refused by this Envoy until it changes or is sent again.
bool Stream::IsRefused(ResourceType type, const NackBisection::Key& key,
                       const Hash128& version) const {
  const auto& refused = state(type).refused;
  const auto at = refused.find(key.first);
  if (at == refused.end()) return false;
  const auto refusal = at->second.find(key.second);
  if (refusal != at->second.end() && refusal->second.version == version) return true;
  const auto whole = at->second.find(std::nullopt);
  return whole != at->second.end() && whole->second.node_fault;
}

// What the Envoy acknowledged under this name; nullptr: nothing.
ResourcePtr Stream::Runs(ResourceType type, const std::string& name) const {
  const State& s = state(type);
  if (s.first.has_value()) return nullptr;
  const auto at = s.irregular.find(name);
  return at == s.irregular.end() ? s.told.Find(name) : at->second.acknowledged;
}

// Whether what it was told was rejected since.
bool Stream::Rejected(ResourceType type, const std::string& name) const {
  const State& s = state(type);
  const auto at = s.irregular.find(name);
  return at != s.irregular.end() && at->second.rejected != nullptr &&
         SameVersion(at->second.rejected, s.told.Find(name));
}

// A part that came with a head that the Envoy has nothing of is suspected only with this head.
void Stream::NoteHead(ResourceType type, const NackBisection::Key& key, const InFlight& response) {
  State& s = state(type);
  const ResourcePtr told = response.told.Find(key.first);
  const ResourcePtr runs = Runs(type, key.first);
  if (!key.second.has_value() || told == nullptr || (runs != nullptr && runs->known)) return;
  const Hash128 head = *ContentVersion(*told, std::nullopt);
  const auto [at, added] = s.heads.try_emplace(key.first, head);
  if (added || at->second == head) return;
  at->second = head;
  s.search.Prune(
      [&](const NackBisection::Key& other, const Hash128&) { return other.first != key.first; });
}

// What in the response differs from what the Envoy acknowledged. `explained`: something of it is
// refused already.
NackBisection::Items Stream::Suspects(ResourceType type, const InFlight& response,
                                      bool& explained) const {
  const State& s = state(type);
  std::set<std::string> names;
  for (const Change& change : response.changes) {
    if (change.told != nullptr) names.insert(*change.name);
  }
  if (!delta() && Info(type).whole) {  // it holds what was sent before, too
    for (const auto& [name, irregular] : s.irregular) names.insert(*name);
    for (const auto& [name, refusals] : s.refused) names.insert(name);
    s.search.ForEach([&](const NackBisection::Key& key, const Hash128&, const std::string&) {
      names.insert(key.first);
    });
  }
  NackBisection::Items suspects;
  for (const std::string& name : names) {
    const ResourcePtr told = response.told.Find(name);
    if (told == nullptr || !told->known) continue;
    // What stands in for a refused assignment.
    if (type == ResourceType::kEndpoints && told->version == MakeBlank(name)->version) continue;
    if (!s.wildcard && !s.names.Contains(name)) {  // what came of it we don't know
      explained = true;
      continue;
    }
    // A cluster that goes once it's no longer in use isn't searched for: the words name it.
    if (type == ResourceType::kCluster && !delta() && Wanted(type, name) == nullptr) {
      explained = explained || Names(s.error_message, name);
      continue;
    }
    const ResourcePtr runs = Runs(type, name);
    const auto refused = s.refused.find(name);
    const auto add = [&](const std::optional<std::string>& part, const Hash128& version) {
      if (refused != s.refused.end()) {
        const auto at = refused->second.find(part);
        if (at != refused->second.end() && at->second.version == version) {
          explained = true;
          return;
        }
      }
      suspects.emplace(NackBisection::Key(name, part), version);
    };
    const bool known = runs != nullptr && runs->known;
    const std::optional<Hash128> head = ContentVersion(*told, std::nullopt);
    // A head that it has nothing to compare with is sent with any of its parts: it can't be told
    // apart from them.
    if (known ? head != ContentVersion(*runs, std::nullopt) : told->parts.empty())
      add(std::nullopt, *head);
    Parts::Diff(known ? runs->parts : Parts(), told->parts, [&](const PartPtr&, const PartPtr& is) {
      if (is != nullptr) add(is->name, is->version);
    });
  }
  return suspects;
}

// What the Envoy refused, or is suspected of refusing, replaced by what it runs. nullptr: nothing
// is left.
ResourcePtr Stream::WithoutRefused(ResourceType type, const ResourcePtr& wanted) const {
  const State& s = state(type);
  if (s.refused.empty() && !s.search.active()) return wanted;
  std::set<std::optional<std::string>> parts;
  const auto consider = [&](const std::optional<std::string>& part, const Hash128& version) {
    if (ContentVersion(*wanted, part) == version) parts.insert(part);
  };
  if (const auto at = s.refused.find(wanted->name); at != s.refused.end()) {
    for (const auto& [part, refusal] : at->second) consider(part, refusal.version);
  }
  if (s.search.active()) {
    s.search.ForEachWithheld(wanted->name,
                             [&](const NackBisection::Key& key, const Hash128& version) {
                               consider(key.second, version);
                             });
  }
  if (parts.empty()) return wanted;
  ResourcePtr runs = Runs(type, wanted->name);
  if (runs != nullptr && !runs->known) runs = nullptr;
  ResourcePtr nothing = Info(type).blank_if_unknown && type == ResourceType::kEndpoints
                            ? MakeBlank(wanted->name)
                            : nullptr;
  auto view = std::make_shared<Resource>(*wanted);
  const EditToken token = NewEditToken();
  for (const std::optional<std::string>& part : parts) {
    if (part.has_value()) {
      const PartPtr ran = runs == nullptr ? nullptr : runs->parts.Find(*part);
      if (ran != nullptr) {
        view->parts.Set(ran, token);
      } else {
        view->parts.Remove(*part, token);
      }
      continue;
    }
    if (runs == nullptr) return nothing;
    Parts kept = std::move(view->parts);
    *view = *runs;
    view->parts = std::move(kept);
  }
  if (Info(type).needs_parts && !wanted->parts.empty() && view->parts.empty()) return runs;
  view->version = HashPair(view->name, view->bytes);
  view->version += view->parts.version();
  return view;
}

// Refusals of contents that are no longer wanted.
void Stream::ForgetRefusals(ResourceType type, const std::string& name) {
  State& s = state(type);
  const auto at = s.refused.find(name);
  if (at == s.refused.end()) return;
  const ResourcePtr wanted = Wanted(type, name);
  if (wanted == nullptr) s.node_faults.erase(name);
  std::erase_if(at->second, [&](const auto& refusal) {
    return wanted == nullptr || ContentVersion(*wanted, refusal.first) != refusal.second.version ||
           (refusal.second.head.has_value() &&
            ContentVersion(*wanted, std::nullopt) != refusal.second.head);
  });
  if (at->second.empty()) s.refused.erase(at);
}

// The next step in the search for culprits.
void Stream::NextTest(ResourceType type) {
  State& s = state(type);
  const NackBisection::Step step =
      s.search.Advance([&](const NackBisection::Key& key, const Hash128& version) {
        if (!s.wildcard && !s.names.Contains(key.first)) return false;
        if (IsRefused(type, key, version)) return false;
        const ResourcePtr wanted = Wanted(type, key.first);
        if (wanted == nullptr || ContentVersion(*wanted, key.second) != version) return false;
        const ResourcePtr runs = Runs(type, key.first);
        if (runs != nullptr && runs->known) return ContentVersion(*runs, key.second) != version;
        const auto head = s.heads.find(key.first);
        return !key.second.has_value() || head == s.heads.end() ||
               ContentVersion(*wanted, std::nullopt) == head->second;
      });
  Convict(type, s.search.TakeCulprits(), true);
  if (!s.search.active()) s.heads.clear();
  switch (step) {
    case NackBisection::Step::kTest:
      for (const auto& [key, version] : s.search.test()) Touch(type, key.first);
      return;
    case NackBisection::Step::kControl:
      if (Control(type)) return;
      Convict(type, s.search.GiveUp(), false);
      session_.Distrust();
      return;
    case NackBisection::Step::kOver:
      break;
  }
  // What was parted from culprits may be in effect or not: what Envoy runs is sent again.
  bool untold = false;  // there are some
  for (const auto& [name, refusals] : s.refused) {
    if (s.irregular.contains(name)) Touch(type, name, true);
    for (const auto& [part, refusal] : refusals)
      untold = untold || (refusal.culprit && !refusal.told_on);
  }
  if (untold && !session_.distrusted_ && !Control(type) && session_.content_accepted_) {
    TellOn(type, Trust::kAll);
  }
}

// Sends something again that the Envoy accepted. Its answer shows whether it is good for anything.
bool Stream::Control(ResourceType type) {
  State& s = state(type);
  std::string name;
  for (const auto& [resource, refusals] : s.refused) {
    if (const ResourcePtr runs = Runs(type, resource); runs != nullptr && runs->known)
      name = resource;
  }
  if (name.empty()) {
    s.told.ForEach([&](const ResourcePtr& told) {
      if (!name.empty() && name < told->name) return;
      if (const ResourcePtr runs = Runs(type, told->name); runs != nullptr && runs->known)
        name = told->name;
    });
  }
  if (name.empty()) return false;
  s.control = true;
  Touch(type, name, true);
  return true;
}

void Stream::Convict(ResourceType type, std::vector<NackBisection::Culprit> culprits,
                     bool culprit) {
  State& s = state(type);
  for (NackBisection::Culprit& found : culprits) {
    const auto& [name, part] = found.key;
    const ResourcePtr wanted = Wanted(type, name);
    if (wanted == nullptr || ContentVersion(*wanted, part) != found.version) continue;
    Refusal refusal;
    refusal.version = found.version;
    refusal.error_message = std::move(found.error_message);
    refusal.culprit = culprit;
    refusal.confirmed = found.confirmed;
    const ResourcePtr runs = Runs(type, name);
    const bool known = runs != nullptr && runs->known;
    Refusals& refusals = s.refused[name];
    if (const auto head = s.heads.find(name); part.has_value() && !known && head != s.heads.end()) {
      refusal.head = head->second;
    }
    // The head, refused without its parts, is what was wrong with them.
    if (!part.has_value() && !known) {
      std::erase_if(refusals, [&](const auto& other) {
        return other.first.has_value() && other.second.head == refusal.version;
      });
    }
    refusals.insert_or_assign(part, std::move(refusal));
    Touch(type, name);
  }
  TellOn(type, Trust::kConfirmed);
}

// The Envoy accepted something since: what it refused is at fault, not the Envoy.
void Stream::TellOn(ResourceType type, Trust trust) {
  State& s = state(type);
  if (s.refused.empty() || session_.distrusted_) return;
  for (auto& [name, refusals] : s.refused) {
    const ResourcePtr runs = Runs(type, name);
    for (auto& [part, refusal] : refusals) {
      if (!refusal.culprit || refusal.told_on) continue;
      if (trust == Trust::kConfirmed && !refusal.confirmed) continue;
      if (trust != Trust::kAll && part.has_value() && (runs == nullptr || !runs->known)) continue;
      refusal.told_on = true;
      if (!session_.options_.on_culprit) continue;
      Culprit culprit;
      culprit.key = {type, name, part};
      culprit.version = refusal.version;
      if (runs != nullptr && runs->known) culprit.good = session_.GoodOf(*runs, culprit.key);
      culprit.error_message = refusal.error_message;
      culprit.node_id = session_.identity_.node_id;
      culprit.peer = session_.identity_.peer;
      session_.options_.on_culprit(std::move(culprit));
    }
  }
}

// ---- Stream: responses ----

std::optional<Response> Stream::Next(Time now, std::size_t most) {
  allowance_ = most;
  // A response that is being made goes by one snapshot.
  if (!std::exchange(unfinished_, false)) session_.Refresh();
  std::optional<Response> response;
  for (const ResourceType type : kOrder) {
    response = Make(type, now);
    if (response.has_value() || unfinished_) break;
  }
  if (unfinished_) return response;
  session_.NoteListenersInSync();
  return response.has_value() ? std::move(response) : AnswerUnknownType();
}

// Takes one name from the allowance of Next(). Returns false if there is none left.
bool Stream::Spend() {
  ++session_.examined_;
  if (allowance_ == 0) {
    unfinished_ = true;
    return false;
  }
  if (allowance_ != kWithoutLimit) --allowance_;
  return true;
}

// What the Envoy is to have under this name in the end; nullptr: nothing.
ResourcePtr Stream::Wanted(ResourceType type, const std::string& name) const {
  ResourcePtr resource = session_.snapshot_->Find(type, name);
  if (const std::vector<Exclusion>& exclusions = session_.snapshot_->ExclusionsOf(type, name);
      !exclusions.empty())
    resource = WithOwn(resource, exclusions);
  if (resource != nullptr) return resource;
  if (type == ResourceType::kSecret) return session_.FindSecret(name);
  const State& s = state(type);
  const bool named = s.names.Contains(name);
  const bool told = s.told.Contains(name);
  if (type == ResourceType::kEndpoints &&
      (((named || told) && session_.snapshot_->ClustersWithAssignment(name) > 0) ||
       (named && !told && session_.RetainedClusterUses(name)))) {
    return MakeBlank(name);
  }
  if (!delta() && Info(type).blank_if_unknown && named) return MakeBlank(name);
  return nullptr;
}

// True if the Envoy is to have the content although it is excluded: it runs it, or something
// unknown that could be it.
bool Stream::Keeps(const Exclusion& exclusion) const {
  const ResourcePtr runs = Runs(exclusion.key.type, exclusion.key.resource);
  // It may be in a state of the world that nobody knows.
  if (runs == nullptr) return state(exclusion.key.type).unrecognised;
  return !runs->known || ContentVersion(*runs, exclusion.key.part) == exclusion.version;
}

// Returns `offered` with the excluded contents that this Envoy keeps, and with what it runs in the
// place of excluded contents for which the fleet has no good one. nullptr: nothing.
ResourcePtr Stream::WithOwn(const ResourcePtr& offered,
                            const std::vector<Exclusion>& exclusions) const {
  std::shared_ptr<Resource> own;
  for (const Exclusion& exclusion : exclusions) {
    const ResourceKey& item = exclusion.key;
    ResourcePtr from = exclusion.published;
    if (!Keeps(exclusion)) {
      from = exclusion.replaced ? nullptr : Runs(item.type, item.resource);
      if (from == nullptr || !ContentVersion(*from, item.part).has_value()) continue;
    }
    if (own == nullptr) own = std::make_shared<Resource>(offered == nullptr ? *from : *offered);
    if (item.part.has_value()) {
      own->parts.Set(from->parts.Find(*item.part));
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

// Whether something that the Envoy has and the snapshot lacks may be withdrawn (or emptied) now.
bool Stream::MayWithdraw(ResourceType type, const std::string& name, Time now) const {
  switch (type) {
    case ResourceType::kCluster:
      return session_.snapshot_->UsersOfCluster(name) == 0 && !session_.AwaitsUsers(now) &&
             !session_.cluster_uses_.Contains(name);
    case ResourceType::kEndpoints:
      return session_.snapshot_->ClustersWithAssignment(name) > 0 ||
             !session_.RetainedClusterUses(name);
    case ResourceType::kListener:
      return true;
    case ResourceType::kRoutes:
    case ResourceType::kSecret:
      return session_.SeeListenersInSync();
    case ResourceType::kScopedRoutes:
      // A host goes at once, all of them only after the listeners that look hosts up in this way.
      // Those that a control plane of that shape left are not ours: connections that are being
      // drained use them, and Envoy drops them with the last.
      return !session_.snapshot_->table(type).empty() ||
             (session_.had_scopes_ && session_.SeeListenersInSync());
  }
  return true;
}

// What of `wanted` may be announced now.
Stream::Judgement Stream::Judge(ResourceType type, const std::string& name,
                                const ResourcePtr& wanted, bool force, Time now) {
  State& s = state(type);
  const auto held = s.held.find(name);
  if ((wanted->clusters.empty() && wanted->parts.empty()) || !session_.JudgesWarmth(now)) {
    DropHold(type, name);
    return {wanted, false, 0};
  }
  if (session_.AllClustersAreWarmFor(*wanted)) {
    DropHold(type, name);
    return {wanted, false, 0};
  }
  const ResourcePtr base = Rejected(type, name) ? Runs(type, name) : s.told.Find(name);
  const bool known = base == nullptr || base->known;

  Hold hold;
  hold.force = force;
  Judgement judgement;
  const auto waits = [&](const std::string& part, const std::vector<std::string>& needs,
                         const std::vector<std::string>* has) {
    bool cold = false;
    bool lacking = false;  // one of them isn't coming
    bool coming = false;   // one of them is
    StringSet waiting_for;
    for (const std::string& cluster : needs) {
      ++session_.examined_;
      if (has != nullptr && std::binary_search(has->begin(), has->end(), cluster)) continue;
      if (session_.IsWarm(cluster)) continue;
      cold = true;
      (session_.LacksCluster(cluster) ? lacking : coming) = true;
      waiting_for.insert(cluster);
    }
    if (!cold) return false;
    // Nothing is there that could be lost, and nothing comes by waiting.
    if (!coming && has == nullptr) {
      ++judgement.released;
      return false;
    }
    Time since = now;
    if (held != s.held.end()) {
      if (const auto at = held->second.since.find(part); at != held->second.since.end())
        since = at->second;
    }
    // A cluster that was refused won't come by waiting: what is there stays.
    const bool stays = lacking && has != nullptr;
    if (!stays && now >= since + session_.options_.warm_timeout) {
      ++judgement.released;
      return false;
    }
    if (!stays) hold.earliest = std::min(hold.earliest.value_or(since), since);
    hold.waiting_for.insert(waiting_for.begin(), waiting_for.end());
    hold.since.emplace(part, since);
    return true;
  };

  std::vector<std::pair<PartPtr, PartPtr>> waiting;  // before, wanted
  bool all = false;
  if (known) {
    all = waits("", wanted->clusters, base == nullptr ? nullptr : &base->clusters);
    Parts::Diff(base == nullptr ? Parts() : base->parts, wanted->parts,
                [&](const PartPtr& was, const PartPtr& is) {
                  ++session_.examined_;
                  if (is != nullptr &&
                      waits(is->name, is->clusters, was == nullptr ? nullptr : &was->clusters)) {
                    waiting.emplace_back(was, is);
                  }
                });
  } else {
    // Nothing may go missing that the Envoy serves now, and we can't put back what we don't know.
    std::set<std::string> needs(wanted->clusters.begin(), wanted->clusters.end());
    wanted->parts.ForEach(
        [&](const PartPtr& part) { needs.insert(part->clusters.begin(), part->clusters.end()); });
    all = waits("", {needs.begin(), needs.end()}, nullptr);
  }

  if (hold.since.empty()) {
    DropHold(type, name);
  } else {
    hold.share = Share(session_.held_parts_, hold.since.size());
    PutHold(type, name, std::move(hold));
  }
  if (all) return {};
  judgement.view = wanted;
  if (!waiting.empty()) {
    auto view = std::make_shared<Resource>(*wanted);
    const EditToken token = NewEditToken();
    for (const auto& [was, is] : waiting) {
      if (was != nullptr) {
        view->parts.Set(was, token);
      } else {
        view->parts.Remove(is->name, token);
      }
    }
    // Nothing would be left, which Envoy refuses: so it keeps what it has, or has none yet.
    if (Info(type).needs_parts && view->parts.empty()) {
      judgement.view = base;
      judgement.absent = base == nullptr;
      return judgement;
    }
    view->version -= wanted->parts.version();
    view->version += view->parts.version();
    judgement.view = std::move(view);
  }
  return judgement;
}

// Records that the change goes out in the response `sequence`.
void Stream::Tell(ResourceType type, const Change& change, std::uint64_t sequence,
                  EditToken token) {
  State& s = state(type);
  SpellOut(type);
  const ResourcePtr was = s.told.Find(*change.name);
  const auto [at, added] = s.irregular.try_emplace(change.name);
  if (added) {
    at->second.acknowledged = was;
    at->second.since = sequence;
  }
  ++at->second.in_flight;
  at->second.rejected = nullptr;
  if (change.told != nullptr) {
    s.told.Set(change.told, token);
  } else {
    s.told.Remove(*change.name, token);
  }
  if (type == ResourceType::kListener && !SameVersion(was, change.told))
    session_.listeners_changed_ = true;
  if (type != ResourceType::kCluster) return;
  if (change.told == nullptr) {
    session_.ClusterWithdrawn(*change.name, was);
  } else if (!SameVersion(was, change.told)) {
    session_.ClusterSent(change.told, was, sequence);
  }
  session_.NoteRetained(*change.name, *this);
}

std::optional<Response> Stream::Make(ResourceType type, Time now) {
  State& s = state(type);
  for (;;) {
    if (s.search.active() && !s.search.testing() && s.in_flight.empty() && !s.making.has_value())
      NextTest(type);
    std::optional<Response> response = MakeOne(type, now);
    if (unfinished_ || !s.search.testing() || s.test != 0) return response;
    if (response.has_value()) {
      s.test = s.in_flight.back().sequence;
      return response;
    }
    if (!s.in_flight.empty() || s.search.test().empty()) return std::nullopt;
    s.search.OnNothing();
  }
}

// Returns the table that an Envoy that has nothing of the type yet is to be sent as a whole;
// nullptr: its resources have to be looked at one by one.
std::shared_ptr<const Table> Stream::FirstTable(ResourceType type) const {
  const State& s = state(type);
  const Snapshot& snapshot = *session_.snapshot_;
  const bool nothing_yet = s.subscribed && s.version_sent.empty() && s.told.empty() &&
                           s.irregular.empty() && s.in_flight.empty() && s.later.empty() &&
                           s.held.empty() && s.blocked.empty() && s.refused.empty() &&
                           s.node_faults.empty() && !s.making.has_value() && !s.stalled &&
                           !s.unrecognised && !s.search.active();
  if (!nothing_yet || !session_.identity_.aggregated || !snapshot.exclusions().empty())
    return nullptr;
  if (type == ResourceType::kEndpoints && s.all_names && !s.wildcard && !s.names.empty())
    return session_.options_.shared->Subset(snapshot.table(type), s.names);
  const Table& table = snapshot.table(type);
  const bool forced =
      std::any_of(s.dirty.begin(), s.dirty.end(), [](const auto& dirty) { return dirty.second; });
  if (forced || !s.all || !s.names.empty() || table.empty()) return nullptr;
  // Assignments that were asked for before their clusters came are sent again one by one.
  const bool clusters = type == ResourceType::kCluster && session_.warming_.empty() &&
                        session_.subscribed_[Index(ResourceType::kEndpoints)].empty();
  const bool scopes = type == ResourceType::kScopedRoutes && session_.AllClustersAreWarmFor(table);
  return clusters || scopes ? std::make_shared<const Table>(table) : nullptr;
}

// Sends all of the first content at once: what is kept of it is the same for all Envoys, so that
// very many of them can come at the same time.
std::optional<Response> Stream::MakeFirst(ResourceType type, Time now) {
  std::shared_ptr<const Table> table = FirstTable(type);
  if (table == nullptr) return std::nullopt;
  State& s = state(type);
  s.all = s.all_names = false;
  s.dirty.clear();
  Making making;
  making.sequence = ++session_.sequence_;
  s.told = *table;
  s.first = FirstContent{making.sequence, table, session_.options_.shared->Sorted(*table)};
  session_.options_.recent->Use(table);
  session_.options_.recent->Use(s.first->list);
  ++session_.examined_;
  if (type == ResourceType::kCluster) session_.warming_.FirstClustersSent(*table, making.sequence);
  return Build(type, std::move(making), now);
}

// Notes the first content name by name, since something happens to some of it.
void Stream::SpellOut(ResourceType type) {
  State& s = state(type);
  if (!s.first.has_value()) return;
  const FirstContent first = *std::exchange(s.first, std::nullopt);
  InFlight& response = s.in_flight.front();  // there can't be another
  response.changes.reserve(first.list->size());
  for (const ResourcePtr& resource : *first.list) {
    ++session_.examined_;
    Irregular& irregular = s.irregular[NameOf(resource)];
    irregular.since = first.sequence;
    irregular.in_flight = 1;
    response.changes.push_back({NameOf(resource), resource});
  }
}

std::optional<Response> Stream::MakeOne(ResourceType type, Time now) {
  State& s = state(type);
  if (std::optional<Response> first = MakeFirst(type, now); first.has_value()) return first;
  for (;;) {
    if (!s.making.has_value() && !BeginMaking(type)) return std::nullopt;
    if (s.making->sequence > 0) break;
    if (!LookAtNames(type, now)) return std::nullopt;
    UpdateWatch();
    if (s.making->stalled) {  // the answer would withdraw what the Envoy has and we can't name
      s.stalled = true;
      for (Dirty& dirty : s.making->names) {
        bool& forced = s.dirty.try_emplace(std::move(dirty.name), false).first->second;
        forced = forced || dirty.force;
      }
    } else if (!s.making->changes.empty() || s.answer) {
      s.making->sequence = ++session_.sequence_;
      s.making->token = NewEditToken();
      break;
    }
    s.making.reset();
  }
  SpellOut(type);  // a second response is about to be under way
  Making& making = *s.making;
  for (; making.told < making.changes.size(); ++making.told) {
    if (!Spend()) return std::nullopt;
    Tell(type, making.changes[making.told], making.sequence, making.token);
  }
  Making made = std::move(making);
  s.making.reset();
  return Build(type, std::move(made), now);
}

// Returns false if there is nothing to do.
bool Stream::BeginMaking(ResourceType type) {
  State& s = state(type);
  // One by one as long as it matters which of them is refused.
  const std::size_t limit =
      type == ResourceType::kCluster && !s.search.active() ? kClusterResponses : 1;
  if (!s.subscribed || s.in_flight.size() >= limit) return false;
  if (std::exchange(s.all_names, false)) {
    s.names.ForEach([&](const NamePtr& name) { s.dirty.insert_or_assign(name, true); });
    session_.examined_ += s.names.size();
  }
  if (std::exchange(s.all, false)) {
    s.stalled = false;
    Table::Diff(s.told, session_.snapshot_->table(type),
                [&](const ResourcePtr& was, const ResourcePtr& is) {
                  ++session_.examined_;
                  s.dirty.try_emplace(NameOf(is != nullptr ? is : was), false);
                });
    // This Envoy may keep what the fleet's snapshot leaves out.
    for (const auto& [key, exclusions] : session_.snapshot_->exclusions()) {
      if (key.first == type) s.dirty.try_emplace(MakeName(key.second), false);
    }
  }
  if (s.stalled || (s.dirty.empty() && s.later.empty() && !s.answer)) return false;
  s.making = Making{};
  s.making->names = TakeDirty(type);
  return true;
}

// True if everything that differs must be in one response.
bool Stream::InOneResponse(ResourceType type) const {
  const State& s = state(type);
  if (s.search.active() || s.resend || (!delta() && Info(type).whole)) return true;
  // An Envoy that starts takes the first response for all that there is. It waits for each
  // assignment by itself.
  return type != ResourceType::kEndpoints && s.version_sent.empty();
}

// Returns the names that the next response is about, sorted.
std::vector<Stream::Dirty> Stream::TakeDirty(ResourceType type) {
  State& s = state(type);
  std::vector<Dirty> names;
  names.reserve(s.dirty.size());
  while (!s.dirty.empty()) {
    auto node = s.dirty.extract(s.dirty.begin());
    names.push_back({std::move(node.key()), node.mapped()});
  }
  FreeIfEmpty(s.dirty);
  const auto by_name = [](const Dirty& a, const Dirty& b) { return *a.name < *b.name; };
  const std::size_t most = InOneResponse(type) ? kWithoutLimit : kNamesAtOnce;
  if (s.later.empty() && names.size() <= most) {
    std::sort(names.begin(), names.end(), by_name);
    return names;
  }
  const auto falls = [](const auto& a, const auto& b) { return a.first > b.first; };
  if (names.size() > most) {
    decltype(s.later) added;
    added.reserve(names.size());
    for (Dirty& dirty : std::exchange(names, {})) {
      const std::uint64_t hash = HashBytes(*dirty.name).low;
      added.emplace_back(hash, std::move(dirty));
    }
    std::sort(added.begin(), added.end(), falls);
    decltype(s.later) merged;
    merged.reserve(s.later.size() + added.size());
    std::merge(std::make_move_iterator(s.later.begin()), std::make_move_iterator(s.later.end()),
               std::make_move_iterator(added.begin()), std::make_move_iterator(added.end()),
               std::back_inserter(merged), falls);
    s.later = std::move(merged);
  }
  while (!s.later.empty() && names.size() < most) {
    names.push_back(std::move(s.later.back().second));
    s.later.pop_back();
  }
  std::sort(names.begin(), names.end(), by_name);
  // One that waits for its turn may have been touched meanwhile.
  std::vector<Dirty> once;
  once.reserve(names.size());
  for (Dirty& dirty : names) {
    if (!once.empty() && *once.back().name == *dirty.name) {
      once.back().force = once.back().force || dirty.force;
    } else {
      once.push_back(std::move(dirty));
    }
  }
  return once;
}

// Decides what becomes of the names. Returns false if there are more.
bool Stream::LookAtNames(ResourceType type, Time now) {
  Making& making = *state(type).making;
  for (; making.next < making.names.size(); ++making.next) {
    if (!Spend()) return false;
    Dirty& dirty = making.names[making.next];
    Decide(type, dirty.name, dirty.force, making, now);
  }
  return true;
}

// Decides what of the name goes into the response that is being made.
void Stream::Decide(ResourceType type, const NamePtr& named, bool& force, Making& making,
                    Time now) {
  State& s = state(type);
  const std::string& name = *named;
  const bool whole = !delta() && Info(type).whole;
  std::vector<Change>& changes = making.changes;
  if (const auto at = s.held.find(name); at != s.held.end()) force = force || at->second.force;
  if (const auto at = s.blocked.find(name); at != s.blocked.end()) {
    force = force || at->second;
    s.blocked.erase(at);
  }
  if (!s.wildcard && !s.names.Contains(name)) {
    DropHold(type, name);
    if (s.turned_away.erase(name) > 0) changes.push_back({named, nullptr});
    return;
  }
  const ResourcePtr told = s.told.Find(name);
  ForgetRefusals(type, name);
  ResourcePtr wanted = Wanted(type, name);
  if (wanted != nullptr) {
    wanted = WithoutRefused(type, wanted);
    const ResourcePtr runs = wanted == nullptr ? Runs(type, name) : nullptr;
    if (delta() && runs != nullptr && !runs->known) {  // it stays, whatever it is
      DropHold(type, name);
      return;
    }
  }
  const bool lacking = type == ResourceType::kSecret
                           ? wanted == nullptr
                           : session_.snapshot_->Find(type, name) == nullptr &&
                                 session_.snapshot_->ExclusionsOf(type, name).empty();
  if (told != nullptr && !SameVersion(told, wanted) && lacking && !MayWithdraw(type, name, now)) {
    DropHold(type, name);
    // The whole state can't hold what was rejected, of clusters what the words name. What the
    // Envoy doesn't have can go.
    const bool rejected = whole && Rejected(type, name) &&
                          (type != ResourceType::kCluster || Names(s.error_message, name));
    const ResourcePtr runs = rejected ? Runs(type, name) : told;
    if (runs != nullptr) s.blocked.emplace(name, false);
    if (rejected || (force && told->known)) changes.push_back({named, runs});
    return;
  }
  if (wanted == nullptr) {
    DropHold(type, name);
    // A secret that was refused: the Envoy may have one from before that came with something bad.
    if (delta() && type == ResourceType::kSecret && Rejected(type, name) &&
        session_.snapshot_->Find(type, name) != nullptr)
      return;
    if (delta() ? (told != nullptr || force) : (told != nullptr && whole)) {
      changes.push_back({named, nullptr});
    } else if (told != nullptr) {
      SpellOut(type);
      s.told.Remove(name);  // of these types state of the world has no word for a withdrawal
      EraseName(s.irregular, name);
      session_.NoteUses(type, name, this);
    }
    return;
  }
  const Judgement judgement = Judge(type, name, wanted, force, now);
  if (judgement.absent) {
    if (told != nullptr) changes.push_back({named, nullptr});
    return;
  }
  if (judgement.view == nullptr) {
    making.stalled = making.stalled || (whole && told != nullptr && !told->known);
    // While the next content waits, the whole state must not go on with one that was refused.
    if (whole && Rejected(type, name)) {
      changes.push_back({named, Runs(type, name)});
    } else if (force && told != nullptr && told->known) {
      changes.push_back({named, told});
      s.held.at(name).force = false;
    }
    return;
  }
  if (!force && SameVersion(told, judgement.view) && !Rejected(type, name)) return;
  making.released += judgement.released;
  changes.push_back({named, judgement.view});
}

Response Stream::Build(ResourceType type, Making making, Time now) {
  State& s = state(type);
  std::vector<Change>& changes = making.changes;
  const bool whole = !delta() && Info(type).whole;
  Response response;
  response.protocol = protocol_;
  response.type = type;
  response.nonce = std::to_string(++nonces_);
  // Equal content in the snapshot's own nodes, so that an Envoy that has everything costs nothing.
  if (const Table& all = session_.snapshot_->table(type);
      s.told.size() == all.size() && s.told.version() == all.version()) {
    s.told = all;
    s.unknown_told = false;
  } else if (!s.unknown_told) {
    session_.options_.shared->Share(s.told);
  }
  if (s.first.has_value()) {  // this is its response
    response.resources = *s.first->list;
  } else if (delta() || (!whole && !s.resend)) {
    for (const Change& change : changes) {
      if (change.told != nullptr) {
        response.resources.push_back(change.told);
      } else {
        response.removed.push_back(*change.name);
      }
    }
  } else {
    response.resources = s.told.Sorted();
    std::erase_if(response.resources, [](const ResourcePtr& resource) { return !resource->known; });
  }
  response.version = (delta() ? session_.snapshot_->table(type) : s.told).version().Hex();
  s.answer = s.resend = false;
  s.last_nonce = response.nonce;
  s.version_sent = response.version;
  s.in_flight.push_back({response.nonce, response.version, making.sequence, std::move(changes),
                         s.told, now, TimeMark(session_.unanswered_, now)});
  for (const Change& change : s.in_flight.back().changes)
    session_.NoteUses(type, *change.name, this);
  session_.counters_.released += making.released;
  ++session_.counters_.responses[Index(type)];
  return response;
}

void Stream::PutHold(ResourceType type, const std::string& name, Hold hold) {
  const auto [at, added] = state(type).held.try_emplace(name);
  session_.examined_ += hold.waiting_for.size();
  session_.holds_.Set({id_, type, name}, added ? HoldIndex::Wait() : WaitOf(at->second),
                      WaitOf(hold));
  at->second = std::move(hold);
}

void Stream::DropHold(ResourceType type, const std::string& name) {
  State& s = state(type);
  const auto at = s.held.find(name);
  if (at == s.held.end()) return;
  session_.examined_ += at->second.waiting_for.size();
  session_.holds_.Set({id_, type, name}, WaitOf(at->second), {});
  s.held.erase(at);
}

HoldIndex::Wait Stream::WaitOf(const Hold& hold) const {
  std::optional<Time> due;
  if (hold.earliest.has_value()) due = *hold.earliest + session_.options_.warm_timeout;
  return {&hold.waiting_for, due};
}

void Stream::UpdateWatch() {
  const bool watched = std::any_of(states_.begin(), states_.end(), [](const State& s) {
    return !s.held.empty() || !s.blocked.empty();
  });
  if (watched) {
    session_.watched_.insert(this);
  } else {
    session_.watched_.erase(this);
  }
}

// ---- Session ----

Session::Session(Identity identity, Options options, SnapshotPtr snapshot,
                 std::shared_ptr<const Memory> memory)
    : identity_(std::move(identity)),
      options_(std::move(options)),
      snapshot_(std::move(snapshot)),
      offered_(snapshot_),
      memory_(std::move(memory)),
      had_scopes_(!snapshot_->table(ResourceType::kScopedRoutes).empty()),
      warming_({identity_.aggregated, options_.empty_wait, options_.shared, options_.recent},
               examined_) {}

Session::~Session() = default;

Stream& Session::Attach(Protocol protocol) {
  const std::uint64_t id = ++stream_ids_;
  return *streams_.emplace(id, std::unique_ptr<Stream>(new Stream(*this, id, protocol)))
              .first->second;
}

void Session::Detach(Stream& stream, Time now) {
  watched_.erase(&stream);
  for (const TypeInfo& info : kTypes) {
    const std::size_t i = Index(info.type);
    const Stream::State& s = stream.states_[i];
    subscribed_[i].erase(&stream);
    wildcards_[i].erase(&stream);
    s.names.ForEach([&](const NamePtr& name) {
      RemoveSubscriber(info.type, *name, stream);
      if (info.type == ResourceType::kEndpoints) warming_.StreamEnded(*name, stream.id_);
    });
    for (const auto& [name, hold] : s.held)
      holds_.Set({stream.id_, info.type, name}, stream.WaitOf(hold), {});
    if (!s.subscribed) continue;
    Remember(stream, info.type);
    if (info.type == ResourceType::kCluster && subscribed_[i].empty())
      resuming_until_ = now + options_.warm_timeout;
    if (!IsUser(info.type)) continue;
    s.told.ForEach([&](const ResourcePtr& told) { AddGhost(now + kGhostTime, info.type, told); });
    for (const auto& [name, irregular] : s.irregular) {
      if (irregular.acknowledged != nullptr)
        AddGhost(now + kGhostTime, info.type, irregular.acknowledged);
    }
  }
  ForgetUses(stream);
  for (std::size_t rank = 0; rank < kOrder.size(); ++rank) ready_.erase({rank, stream.id_});
  streams_.erase(stream.id_);
  NoteListenersInSync();
}

void Session::Offer(SnapshotPtr snapshot) {
  offered_ = std::move(snapshot);
  if (offered_ == snapshot_) return;
  // Any stream may be concerned; which ones are shows Refresh(), once somebody can write.
  if (!streams_.empty()) ready_.emplace(0, streams_.begin()->first);
}

template <typename Function>
void Session::ForEachSubscriber(ResourceType type, std::string_view name, Function&& f) const {
  if (identity_.aggregated) {
    for (Stream* stream : subscribed_[Index(type)]) {
      const Stream::State& s = stream->state(type);
      if (s.wildcard || s.names.Contains(name)) f(*stream);
    }
    return;
  }
  for (Stream* stream : wildcards_[Index(type)]) f(*stream);
  const auto& by_name = by_name_[Index(type)];
  if (const auto at = by_name.find(name); at != by_name.end()) {
    for (Stream* stream : at->second) f(*stream);
  }
}

std::vector<const Stream*> Session::SubscribersOf(ResourceType type, std::string_view name) const {
  std::vector<const Stream*> streams;
  ForEachSubscriber(type, name, [&](const Stream& stream) { streams.push_back(&stream); });
  return streams;
}

void Session::AddSubscriber(ResourceType type, const std::string& name, Stream& stream) {
  if (!identity_.aggregated) by_name_[Index(type)][name].insert(&stream);
}

void Session::RemoveSubscriber(ResourceType type, const std::string& name, Stream& stream) {
  if (identity_.aggregated) return;
  auto& by_name = by_name_[Index(type)];
  const auto at = by_name.find(name);
  if (at == by_name.end()) return;
  at->second.erase(&stream);
  if (at->second.empty()) by_name.erase(at);
}

void Session::SetWildcard(ResourceType type, Stream& stream, bool wildcard) {
  if (identity_.aggregated) return;
  if (wildcard) {
    wildcards_[Index(type)].insert(&stream);
  } else {
    wildcards_[Index(type)].erase(&stream);
  }
}

void Session::Subscribed(ResourceType type, Stream& stream, bool resuming, Time now) {
  subscribed_[Index(type)].insert(&stream);
  // In ADS clusters come first, except from an Envoy that is warming some when it reconnects.
  const bool early = identity_.aggregated && type == ResourceType::kEndpoints &&
                     subscribed_[Index(ResourceType::kCluster)].empty();
  if (resuming || early) resuming_until_ = now + options_.warm_timeout;
  const Stream::State& s = stream.state(type);
  // There is nothing to note about what is as in the snapshot.
  if (s.told.root() != snapshot_->table(type).root())
    s.told.ForEach([&](const ResourcePtr& told) { NoteHeld(type, told->name, stream); });
  if (type == ResourceType::kCluster) {
    users_awaited_until_ = now + options_.warm_timeout;
    RecheckHeld();
    RecheckBlocked();
  }
  if (!IsUser(type)) return;
  RemoveGhosts(type, stream);
  RecheckBlocked();
}

// Marks what differs between the snapshot that the streams know and the newest.
void Session::Refresh() {
  while (!RefreshSome(Stream::kWithoutLimit)) {
  }
}

bool Session::RefreshSome(std::size_t most) {
  if (!refreshing_.has_value()) {
    if (offered_ == snapshot_) return true;
    const SnapshotPtr before = std::exchange(snapshot_, offered_);
    had_scopes_ = had_scopes_ || !snapshot_->table(ResourceType::kScopedRoutes).empty();
    refreshing_ = Refreshing{};
    refreshing_->difference = options_.differences != nullptr
                                  ? options_.differences->Get(before, snapshot_)
                                  : std::make_shared<SnapshotDifference>(*before, *snapshot_);
    for (const ResourceType type : kUsers) {
      refreshing_->users_appeared = refreshing_->users_appeared ||
                                    before->table(type).empty() != snapshot_->table(type).empty();
    }
  }
  Refreshing& refreshing = *refreshing_;
  for (; refreshing.type < kResourceTypes; ++refreshing.type, refreshing.next = 0) {
    const auto& changes = refreshing.difference->changes[refreshing.type];
    for (; refreshing.next < changes.size(); ++refreshing.next) {
      if (most == 0) return false;
      if (most != Stream::kWithoutLimit) --most;
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

void Session::TakeInChange(const TypeInfo& info, const ResourcePtr& was, const ResourcePtr& is) {
  const auto touch = [&](ResourceType type, const NamePtr& name) {
    ForEachSubscriber(type, *name, [&](Stream& stream) { stream.Touch(type, name); });
  };
  const ResourcePtr& named = is != nullptr ? is : was;
  const std::string& name = named->name;
  ++examined_;
  touch(info.type, NameOf(named));
  if (info.type == ResourceType::kSecret) SecretChanged(name, was == nullptr, is != nullptr);
  if (IsUser(info.type)) NoteUsesOf(info.type, name);
  if (info.type != ResourceType::kCluster) return;
  if (was == nullptr || is == nullptr || was->assignment != is->assignment) {
    for (const Stream* stream : subscribed_[Index(info.type)]) NoteRetained(name, *stream);
  }
  // The clusters decide if an assignment that isn't in the snapshot is empty, kept or gone.
  for (const ResourcePtr& cluster : {was, is}) {
    if (cluster == nullptr || cluster->assignment.empty()) continue;
    if (snapshot_->table(ResourceType::kEndpoints).Contains(cluster->assignment)) continue;
    touch(ResourceType::kEndpoints, AssignmentOf(cluster));
  }
}

// What else is asked for by this name, and who may have asked for it.
void Session::SecretChanged(const std::string& name, bool came, bool exists) {
  const ResourceType type = ResourceType::kSecret;
  for (Stream* stream : subscribed_[Index(type)]) {
    Stream::State& s = stream->state(type);
    for (const std::string& spelling : s.secrets.SpellingsOf(name)) {
      s.secrets.SetExists(spelling, exists);
      stream->Touch(type, spelling);
    }
    if (s.names.Contains(name)) {
      if (stream->delta()) s.secrets.SetExists(name, exists);
    } else if (came && s.secrets.forgot() && !s.wildcard) {
      stream->AddName(type, name);
      stream->Touch(type, name);
    }
  }
}

// The secret of this name, or of the same name in lower case.
ResourcePtr Session::FindSecret(const std::string& name) const {
  const ResourceType type = ResourceType::kSecret;
  if (ResourcePtr found = snapshot_->Find(type, name); found != nullptr) return found;
  const std::string lower = LowerCase(name);
  if (lower == name) return nullptr;
  const ResourcePtr found = snapshot_->Find(type, lower);
  return found == nullptr ? nullptr : Renamed(*found, name);
}

std::vector<Stream*> Session::TakeReady(Time now) {
  Tick(now);
  if (!ready_.empty()) Refresh();
  std::vector<Stream*> streams;
  std::set<std::uint64_t> taken;
  for (const auto& [rank, id] : std::exchange(ready_, {})) {
    if (taken.insert(id).second) streams.push_back(streams_.at(id).get());
  }
  return streams;
}

void Session::Tick(Time now) {
  if (resuming_until_.has_value() && *resuming_until_ <= now) {
    resuming_until_.reset();
    RecheckHeld();
    RecheckBlocked();
  }
  if (users_awaited_until_.has_value() && *users_awaited_until_ <= now) {
    users_awaited_until_.reset();
    RecheckBlocked();
  }
  if (resend_endpoints_at_.has_value() && *resend_endpoints_at_ <= now)
    resend_endpoints_at_ = WarmingShowsAt(now);
  if (resend_endpoints_at_.has_value() && *resend_endpoints_at_ <= now) {
    resend_endpoints_at_.reset();
    for (Stream* stream : subscribed_[Index(ResourceType::kEndpoints)]) {
      stream->state(ResourceType::kEndpoints).told.ForEach([&](const ResourcePtr& told) {
        stream->Touch(ResourceType::kEndpoints, NameOf(told), true);
      });
    }
  }
  while (!ghosts_.empty() && ghosts_.begin()->second.expires <= now) RemoveGhost(ghosts_.begin());
  ApplyWarming(warming_.TakeTimedOut(now));
  while (!retries_.empty() && retries_.begin()->first <= now) {
    const Retry retry = std::move(retries_.begin()->second);
    retries_.erase(retries_.begin());
    if (const auto at = streams_.find(retry.stream); at != streams_.end())
      at->second->RetryNodeFault(retry.type, retry.name);
  }
  Touch(holds_.TakeDue(now));
}

std::optional<Time> Session::NextDeadline() const {
  std::optional<Time> deadline;
  const auto consider = [&](Time time) {
    deadline = deadline.has_value() ? std::min(*deadline, time) : time;
  };
  if (resuming_until_.has_value()) consider(*resuming_until_);
  if (users_awaited_until_.has_value()) consider(*users_awaited_until_);
  if (resend_endpoints_at_.has_value()) consider(*resend_endpoints_at_);
  if (!ghosts_.empty()) consider(ghosts_.begin()->second.expires);
  if (const std::optional<Time> due = warming_.NextDeadline()) consider(*due);
  if (!retries_.empty()) consider(retries_.begin()->first);
  if (const std::optional<Time> due = holds_.NextDue()) consider(*due);
  return deadline;
}

// ---- Session: warm clusters ----

// Without a CDS subscription there is nothing to judge by, unless the Envoy is about to subscribe
// again.
bool Session::JudgesWarmth(Time now) const {
  return !subscribed_[Index(ResourceType::kCluster)].empty() ||
         (resuming_until_.has_value() && now < *resuming_until_);
}

bool Session::IsWarm(const std::string& cluster) const {
  if (warming_.Contains(cluster)) return false;
  const auto& streams = subscribed_[Index(ResourceType::kCluster)];
  return std::any_of(streams.begin(), streams.end(), [&](const Stream* stream) {
    return stream->state(ResourceType::kCluster).told.Contains(cluster);
  });
}

void Session::ClusterSent(const ResourcePtr& cluster, const ResourcePtr& was,
                          std::uint64_t sequence) {
  if (!warming_.ClusterSent(cluster, was, sequence)) return;
  ForEachSubscriber(ResourceType::kEndpoints, cluster->assignment, [&](Stream& stream) {
    stream.Touch(ResourceType::kEndpoints, AssignmentOf(cluster), true);
  });
}

void Session::ClusterWithdrawn(const std::string& name, const ResourcePtr& was) {
  warming_.ClusterWithdrawn(name, sequence_);
  if (was == nullptr || was->assignment.empty()) return;
  ForEachSubscriber(ResourceType::kEndpoints, was->assignment, [&](Stream& stream) {
    stream.Touch(ResourceType::kEndpoints, AssignmentOf(was));
  });
}

// Looks again at everything that waited for what has changed.
void Session::ApplyWarming(const Warming::Changes& changes) {
  for (const NamePtr& cluster : changes.warm) {
    RecheckHeld(*cluster);
    for (const Stream* stream : subscribed_[Index(ResourceType::kCluster)])
      NoteRetained(*cluster, *stream);
  }
  if (changes.others) RecheckHeld();
  if (changes.recognised) RecheckBlocked(ResourceType::kEndpoints);
}

// True if the Envoy has just the clusters of the snapshot, and all of them are warm.
bool Session::AllClustersAreWarm() const {
  const auto& streams = subscribed_[Index(ResourceType::kCluster)];
  const Table& all = snapshot_->table(ResourceType::kCluster);
  return warming_.empty() && streams.size() == 1 &&
         (*streams.begin())->state(ResourceType::kCluster).told.root() == all.root();
}

// True if the resource has many parts and all clusters that they need are warm, as far as that can
// be told without a look at each.
bool Session::AllClustersAreWarmFor(const Resource& resource) const {
  constexpr std::size_t kMany = 64;
  if (resource.parts.size() < kMany || !AllClustersAreWarm()) return false;
  const auto all =
      options_.shared->HasAllClusters(snapshot_->table(ResourceType::kCluster), resource);
  options_.recent->Use(all);
  return *all;
}

// True likewise for all of the resources.
bool Session::AllClustersAreWarmFor(const Table& resources) const {
  if (!AllClustersAreWarm()) return false;
  const auto all =
      options_.shared->HasAllClusters(snapshot_->table(ResourceType::kCluster), resources);
  options_.recent->Use(all);
  return *all;
}

// ---- Session: across connections ----

void Session::Remember(const Stream& stream, ResourceType type) {
  if (!identity_.aggregated && type != ResourceType::kCluster && !IsUser(type)) return;
  const Stream::State& s = stream.state(type);
  std::vector<Memory::State>& states = leaving_.states[Index(type)];
  const EditToken token = NewEditToken();
  const auto add = [&](const Table& table, bool acked = false) {
    for (Memory::State& other : states) {
      if (other.version != table.version()) continue;
      other.acked = other.acked || acked;
      return;
    }
    if (states.size() >= kRememberedStates) return;
    Table subscribed = table;
    if (!s.wildcard) {
      const EditToken own = NewEditToken();  // `token` may be that of the table that is walked
      table.ForEach([&](const ResourcePtr& resource) {
        if (!s.names.Contains(resource->name)) subscribed.Remove(resource->name, own);
      });
    }
    states.push_back({table.version(), std::move(subscribed), acked});
  };
  // Which of these it has shows its next request.
  add(s.told);
  add(s.accepted);
  for (const Stream::InFlight& response : s.in_flight) add(response.told);
  Table acknowledged = s.first.has_value() ? Table() : s.told;
  for (const auto& [name, irregular] : s.irregular) {
    if (irregular.acknowledged != nullptr) {
      acknowledged.Set(irregular.acknowledged, token);
    } else {
      acknowledged.Remove(*name, token);
    }
  }
  add(acknowledged, true);
}

std::shared_ptr<const Memory> MemoryOf(const Snapshot& past) {
  auto memory = std::make_shared<Memory>();
  memory->own = false;
  for (const TypeInfo& info : kTypes) {
    const Table& table = past.table(info.type);
    std::vector<Memory::State>& states = memory->states[Index(info.type)];
    if (table.empty()) continue;
    states.push_back({table.version(), table});
    // Envoy asks for the route configurations of its listeners only, or for each on its own stream.
    if (info.type != ResourceType::kRoutes || table.size() == 1) continue;
    table.ForEach([&](const ResourcePtr& routes) {
      Table alone;
      alone.Set(routes);
      states.push_back({alone.version(), alone});
    });
  }
  return memory;
}

std::shared_ptr<const Memory> Session::TakeMemory() {
  // What this session didn't come to ask is as it was: clusters, if it lasted no longer than they
  // warmed.
  for (const TypeInfo& info : kTypes) {
    std::vector<Memory::State>& states = leaving_.states[Index(info.type)];
    if (states.empty() && memory_ != nullptr) states = memory_->states[Index(info.type)];
  }
  return std::make_shared<const Memory>(std::exchange(leaving_, {}));
}

ResourcePtr Session::Recall(ResourceType type, const std::string& name,
                            const Hash128& version) const {
  if (memory_ == nullptr) return nullptr;
  for (const Memory::State& state : memory_->states[Index(type)]) {
    ResourcePtr found = state.table.Find(name);
    if (found != nullptr && found->known && found->version == version) return found;
  }
  return nullptr;
}

const Table* Session::Recall(ResourceType type, std::string_view version) const {
  if (memory_ == nullptr) return nullptr;
  for (const Memory::State& state : memory_->states[Index(type)]) {
    if (state.version.Hex() == version) return &state.table;
  }
  return nullptr;
}

// The resource that an Envoy names by this version when it subscribes.
ResourcePtr Session::Named(ResourceType type, const std::string& name,
                           const Hash128& version) const {
  ResourcePtr has = type == ResourceType::kSecret ? FindSecret(name) : snapshot_->Find(type, name);
  if (has == nullptr) has = MakeBlank(name);
  if (has->version == version) return has;
  const std::vector<Exclusion>& exclusions = snapshot_->ExclusionsOf(type, name);
  if (!exclusions.empty() && exclusions.front().published->version == version)
    return exclusions.front().published;
  has = Recall(type, name, version);
  return has == nullptr ? MakeUnknown(name, version) : has;
}

// An Envoy that had clusters before is going to subscribe to them again, if later than to the rest.
void Session::Begin(Time now) {
  if (std::exchange(begun_, true)) return;
  if (memory_ == nullptr || !memory_->own) return;
  if (memory_->states[Index(ResourceType::kCluster)].empty()) return;
  resuming_until_ = now + options_.warm_timeout;
}

// Returns when an Envoy that is silent about its clusters counts as warming some: not before it has
// had the time to answer. A server that many Envoys come back to may be late itself.
Time Session::WarmingShowsAt(Time now) const {
  for (const Stream* stream : subscribed_[Index(ResourceType::kCluster)]) {
    const Stream::State& s = stream->state(ResourceType::kCluster);
    if (!s.in_flight.empty()) return s.in_flight.front().sent + kWarmingShows;
    if (s.answer || s.making.has_value()) return now + kWarmingShows;
  }
  return now;
}

// The connection may have broken between a cluster and its assignment. Then the Envoy has an
// assignment of that name from before, doesn't ask for it, and the cluster would end empty. In ADS
// it shows: it doesn't subscribe to clusters again before all are warm (measured with Envoy 1.40:
// endpoints and listeners at once, clusters after the assignment came).
void Session::EndpointsResumed(Time now) {
  if (identity_.aggregated && !warming_.acked_any()) resend_endpoints_at_ = now + kWarmingShows;
}

// ---- Session: what is still in use ----

bool Session::ListenersInSync() const {
  const auto& streams = subscribed_[Index(ResourceType::kListener)];
  if (streams.empty() && resuming_until_.has_value()) return false;  // it has yet to name them
  return std::all_of(streams.begin(), streams.end(), [](const Stream* stream) {
    const Stream::State& s = stream->state(ResourceType::kListener);
    // The Envoy may run an older content of a refused listener.
    const bool older = std::any_of(s.refused.begin(), s.refused.end(), [&](const auto& refused) {
      return stream->Runs(ResourceType::kListener, refused.first) != nullptr;
    });
    return !s.all && !s.all_names && !s.answer && s.dirty.empty() && s.later.empty() &&
           !s.making.has_value() && s.held.empty() && s.in_flight.empty() && s.irregular.empty() &&
           !older && !s.search.active();
  });
}

// True if the listeners are in sync. Whoever is told that they aren't is looked at again later.
bool Session::SeeListenersInSync() {
  const bool now = ListenersInSync();
  if (!now) listeners_in_sync_ = false;
  return now;
}

// Looks again at everything that waits for the listeners once they are in sync.
void Session::NoteListenersInSync() {
  const bool now = ListenersInSync();
  if (std::exchange(listeners_in_sync_, now) || !now) return;
  for (const ResourceType type :
       {ResourceType::kRoutes, ResourceType::kSecret, ResourceType::kScopedRoutes})
    RecheckBlocked(type);
}

// An Envoy that just (re)connected may have listeners and routes of which it hasn't told yet.
bool Session::AwaitsUsers(Time now) const {
  if (!users_awaited_until_.has_value() || now >= *users_awaited_until_) return false;
  if (!identity_.aggregated && resuming_until_.has_value())
    return true;  // each on a stream of its own
  const auto silent = [&](ResourceType type) { return subscribed_[Index(type)].empty(); };
  // Routes come in one of two shapes, or in both.
  const auto routes_missing = [&](ResourceType type) {
    return silent(type) && !snapshot_->table(type).empty();
  };
  return silent(ResourceType::kListener) ||
         (silent(ResourceType::kRoutes) && silent(ResourceType::kScopedRoutes)) ||
         routes_missing(ResourceType::kRoutes) || routes_missing(ResourceType::kScopedRoutes);
}

// Notes which clusters are named by what the Envoy runs, or may run, under this name. `stream`:
// nullptr for what streams that ended had been told.
void Session::NoteUses(ResourceType type, const std::string& name, const Stream* stream) {
  if (!IsUser(type)) return;
  ReferenceCounts::References uses;
  if (stream == nullptr) {
    const auto [from, to] = ghosts_by_name_.equal_range({type, name});
    for (auto at = from; at != to; ++at) CollectView(type, ghosts_.at(at->second).resource, uses);
  } else {
    CollectFrom(*stream, type, name, uses);
  }
  const ReferenceCounts::Ended ended =
      cluster_uses_.Set({type, name, stream == nullptr ? 0 : stream->id_}, std::move(uses));
  if (ended.unknown) RecheckBlocked(ResourceType::kCluster);
  for (const std::string& cluster : ended.names) RecheckBlocked(ResourceType::kCluster, cluster);
}

// Does so for every stream that has something under this name.
void Session::NoteUsesOf(ResourceType type, const std::string& name) {
  std::set<std::uint64_t> streams;
  ForEachSubscriber(type, name, [&](const Stream& stream) { streams.insert(stream.id_); });
  for (const std::uint64_t id : cluster_uses_.StreamsOf(type, name)) streams.insert(id);
  if (ghosts_by_name_.contains({type, name})) streams.insert(0);
  for (const std::uint64_t id : streams)
    NoteUses(type, name, id == 0 ? nullptr : streams_.at(id).get());
}

void Session::CollectFrom(const Stream& stream, ResourceType type, const std::string& name,
                          ReferenceCounts::References& uses) const {
  const Stream::State& s = stream.state(type);
  const ResourcePtr told = s.told.Find(name);
  CollectView(type, told, uses);
  if (const auto at = s.irregular.find(name); at != s.irregular.end()) {
    if (at->second.acknowledged != told) CollectView(type, at->second.acknowledged, uses);
    for (const ResourcePtr& perhaps : at->second.perhaps) CollectView(type, perhaps, uses);
    uses.unknown = uses.unknown || at->second.lost;
  }
  // A name that was unsubscribed meanwhile counts too: it may be again before this arrives.
  for (const Stream::InFlight& response : s.in_flight) {
    if (ResourcePtr sent = response.Find(name); sent != told) CollectView(type, sent, uses);
  }
}

// Only what isn't as in the snapshot can name clusters that the snapshot's users don't.
void Session::CollectView(ResourceType type, const ResourcePtr& view,
                          ReferenceCounts::References& uses) const {
  if (view == nullptr) return;
  ++examined_;
  if (!view->known) {
    uses.unknown = true;
    return;
  }
  const ResourcePtr target = snapshot_->Find(type, view->name);
  if (target != nullptr && target->version == view->version) return;
  uses.names.insert(uses.names.end(), view->clusters.begin(), view->clusters.end());
  Parts::Diff(view->parts, target == nullptr ? Parts() : target->parts,
              [&](const PartPtr& was, const PartPtr&) {
                ++examined_;
                if (was != nullptr)
                  uses.names.insert(uses.names.end(), was->clusters.begin(), was->clusters.end());
              });
}

// The stream ends.
void Session::ForgetUses(const Stream& stream) {
  for (const ResourceType type : kUsers) {
    const Stream::State& s = stream.state(type);
    const auto forget = [&](const std::string& name) {
      const ReferenceCounts::Ended ended = cluster_uses_.Set({type, name, stream.id_}, {});
      if (ended.unknown) RecheckBlocked(ResourceType::kCluster);
      for (const std::string& cluster : ended.names)
        RecheckBlocked(ResourceType::kCluster, cluster);
    };
    s.told.ForEach([&](const ResourcePtr& told) { forget(told->name); });
    for (const auto& [name, irregular] : s.irregular) forget(*name);
    for (const Stream::InFlight& response : s.in_flight) {
      for (const Stream::Change& change : response.changes) forget(*change.name);
    }
  }
  stream.state(ResourceType::kCluster).told.ForEach([&](const ResourcePtr& told) {
    SetRetained(told->name, stream, {});
  });
}

void Session::AddGhost(Time expires, ResourceType type, const ResourcePtr& resource) {
  const std::uint64_t number = ++ghost_numbers_;
  ghosts_.emplace(number, Ghost{expires, type, resource});
  ghosts_by_name_.emplace(GhostName(type, resource->name), number);
  NoteUses(type, resource->name, nullptr);
}

void Session::RemoveGhost(std::map<std::uint64_t, Ghost>::iterator ghost) {
  const GhostName name(ghost->second.type, ghost->second.resource->name);
  const auto [from, to] = ghosts_by_name_.equal_range(name);
  ghosts_by_name_.erase(
      std::find_if(from, to, [&](const auto& entry) { return entry.second == ghost->first; }));
  ghosts_.erase(ghost);
  NoteUses(name.first, name.second, nullptr);
}

// Removes what the stream stands for, which says now what it has.
void Session::RemoveGhosts(ResourceType type, const Stream& stream) {
  const Stream::State& s = stream.state(type);
  const auto remove = [&](const auto& from, const auto& to) {
    std::vector<std::uint64_t> numbers;
    for (auto at = from; at != to && at->first.first == type; ++at) numbers.push_back(at->second);
    for (const std::uint64_t number : numbers) RemoveGhost(ghosts_.find(number));
  };
  if (s.wildcard) {
    remove(ghosts_by_name_.lower_bound({type, ""}), ghosts_by_name_.end());
    return;
  }
  s.names.ForEach([&](const NamePtr& name) {
    const auto [from, to] = ghosts_by_name_.equal_range({type, *name});
    remove(from, to);
  });
}

// Notes what the Envoy's content of this name refers to, beyond what the snapshot's does.
void Session::NoteHeld(ResourceType type, const std::string& name, const Stream& stream) {
  NoteUses(type, name, &stream);
  if (type == ResourceType::kCluster) NoteRetained(name, stream);
}

// Notes from which assignments the Envoy's cluster takes its endpoints, or may take them, other
// than the snapshot's cluster of this name: the older content serves until another one is acked and
// warm.
void Session::NoteRetained(const std::string& cluster, const Stream& stream) {
  ++examined_;
  const Stream::State& s = stream.state(ResourceType::kCluster);
  const ResourcePtr told = s.told.Find(cluster);
  const ResourcePtr target = snapshot_->Find(ResourceType::kCluster, cluster);
  ReferenceCounts::References assignments;
  const auto collect = [&](const ResourcePtr& has) {
    if (has == nullptr || has == target) return;
    assignments.unknown = assignments.unknown || !has->known;
    if (!has->assignment.empty() && (target == nullptr || has->assignment != target->assignment))
      assignments.names.push_back(has->assignment);
  };
  collect(told);
  if (told != nullptr && s.irregular.contains(cluster)) {
    collect(stream.Runs(ResourceType::kCluster, cluster));
    for (const Stream::InFlight& response : s.in_flight) collect(response.Find(cluster));
  }
  const ReferenceCounts::References* replaced = warming_.ReplacedAssignments(cluster);
  if (told != nullptr && replaced != nullptr) {
    assignments.unknown = assignments.unknown || replaced->unknown;
    for (const std::string& name : replaced->names) {
      if (target == nullptr || name != target->assignment) assignments.names.push_back(name);
    }
  }
  SetRetained(cluster, stream, std::move(assignments));
}

void Session::SetRetained(const std::string& cluster, const Stream& stream,
                          ReferenceCounts::References assignments) {
  const ReferenceCounts::Ended ended =
      retained_.Set({ResourceType::kCluster, cluster, stream.id_}, std::move(assignments));
  if (ended.unknown) RecheckBlocked(ResourceType::kEndpoints);
  for (const std::string& assignment : ended.names)
    RecheckBlocked(ResourceType::kEndpoints, assignment);
}

// True if a cluster that this Envoy still has, other than in the snapshot, takes its endpoints from
// the assignment.
bool Session::RetainedClusterUses(std::string_view assignment) const {
  if (warming_.unrecognised()) return true;
  // One that it doesn't name yet, after a connection broke, may.
  if (resuming_until_.has_value() && subscribed_[Index(ResourceType::kCluster)].empty())
    return true;
  return retained_.Contains(assignment);
}

void Session::RecheckBlocked() {
  for (const TypeInfo& info : kTypes) RecheckBlocked(info.type);
}

void Session::RecheckBlocked(ResourceType type) {
  for (Stream* stream : watched_) {
    for (const auto& [name, force] : stream->state(type).blocked) stream->Touch(type, name);
  }
}

void Session::RecheckBlocked(ResourceType type, const std::string& name) {
  ForEachSubscriber(type, name, [&](Stream& stream) {
    ++examined_;
    if (stream.state(type).blocked.contains(name)) stream.Touch(type, name);
  });
}

void Session::RecheckHeld() {
  for (Stream* stream : watched_) {
    for (const TypeInfo& info : kTypes) {
      for (const auto& [name, hold] : stream->state(info.type).held) stream->Touch(info.type, name);
    }
  }
}

void Session::RecheckHeld(const std::string& cluster) { Touch(holds_.WaitingFor(cluster)); }

void Session::Touch(const std::vector<HoldIndex::Key>& keys) {
  for (const HoldIndex::Key& key : keys) streams_.at(key.stream)->Touch(key.type, key.name);
}

// ---- Session: refused contents ----

// True if this Envoy is not going to have the cluster, since it, or another, NACKed its content.
bool Session::LacksCluster(const std::string& cluster) const {
  if (snapshot_->Lacks(ResourceType::kCluster, cluster)) return true;
  const ResourcePtr wanted = snapshot_->Find(ResourceType::kCluster, cluster);
  const auto& streams = subscribed_[Index(ResourceType::kCluster)];
  return std::any_of(streams.begin(), streams.end(), [&](const Stream* stream) {
    const Stream::State& s = stream->state(ResourceType::kCluster);
    if (!s.refused.contains(cluster) || s.told.Contains(cluster)) return false;
    return wanted == nullptr ||  // another content is yet to be sent
           stream->IsRefused(ResourceType::kCluster, {cluster, std::nullopt},
                             *ContentVersion(*wanted, std::nullopt));
  });
}

// What the Envoy runs as `item`, and what it needs for it.
GoodContent Session::GoodOf(const Resource& runs, const ResourceKey& item) const {
  GoodContent good;
  std::vector<std::string> clusters;
  std::string_view bytes;
  if (item.part.has_value()) {
    good.part = runs.parts.Find(*item.part);
    if (good.part == nullptr) return good;
    clusters = good.part->clusters;
    bytes = good.part->bytes;
  } else {
    good.resource = std::make_shared<const Resource>(runs);
    clusters = runs.clusters;
    bytes = runs.bytes;
  }
  std::vector<std::string> assignments;
  if (item.type == ResourceType::kCluster && !runs.assignment.empty())
    assignments.push_back(runs.assignment);
  const auto need = [&](ResourceType type, const std::string& name) -> ResourcePtr {
    for (const Stream* stream : subscribed_[Index(type)]) {
      const ResourcePtr resource = stream->Runs(type, name);
      if (resource == nullptr || !resource->known) continue;
      good.needs.emplace_back(type, resource);
      return resource;
    }
    return nullptr;
  };
  for (const std::string& name : clusters) {
    const ResourcePtr cluster = need(ResourceType::kCluster, name);
    if (cluster != nullptr && !cluster->assignment.empty())
      assignments.push_back(cluster->assignment);
  }
  for (const std::string& name : assignments) need(ResourceType::kEndpoints, name);
  if (item.type == ResourceType::kListener) {
    // A chain names its secrets in its bytes only.
    std::set<std::string> secrets;
    for (const Stream* stream : subscribed_[Index(ResourceType::kSecret)]) {
      stream->state(ResourceType::kSecret).told.ForEach([&](const ResourcePtr& secret) {
        if (bytes.find(secret->name) != std::string_view::npos) secrets.insert(secret->name);
      });
    }
    for (const std::string& name : secrets) need(ResourceType::kSecret, name);
  }
  return good;
}

Opinion Session::OpinionOn(const ResourceKey& item, const Hash128& version) const {
  Opinion opinion;
  for (const Stream* stream : subscribed_[Index(item.type)]) {
    const ResourcePtr runs = stream->Runs(item.type, item.resource);
    if (runs == nullptr || !runs->known) continue;
    if (ContentVersion(*runs, item.part) == version) {
      opinion.runs = true;
    } else if (!opinion.good) {
      opinion.good = GoodOf(*runs, item);
    }
  }
  return opinion;
}

void Session::Distrust() {
  if (std::exchange(distrusted_, true)) return;
  if (options_.on_distrust) options_.on_distrust();
}

// Where nothing is left of a type that the Envoy could accept, another type has to do.
void Session::ContentAccepted() {
  if (std::exchange(content_accepted_, true)) return;
  for (const TypeInfo& info : kTypes) {
    for (Stream* stream : subscribed_[Index(info.type)]) {
      const Stream::State& s = stream->state(info.type);
      if (!s.search.active() && s.told.empty()) stream->TellOn(info.type, Stream::Trust::kAll);
    }
  }
}

// What was quarantined while the Envoy was accepting it.
void Session::DisputeExclusions(ResourceType type) {
  if (!options_.on_dispute) return;
  for (const auto& [key, exclusions] : snapshot_->exclusions()) {
    if (key.first != type) continue;
    for (const Stream* stream : subscribed_[Index(type)]) {
      const ResourcePtr runs = stream->Runs(type, key.second);
      if (runs == nullptr || !runs->known) continue;
      for (const Exclusion& exclusion : exclusions) {
        if (ContentVersion(*runs, exclusion.key.part) == exclusion.version)
          options_.on_dispute(exclusion.key, exclusion.version);
      }
    }
  }
}

void Session::ReportNodeFault(ResourceKey item, const std::string& words, bool ends) {
  if (!options_.on_node_fault) return;
  options_.on_node_fault({std::move(item), words, identity_.node_id, identity_.peer, ends});
}

}  // namespace contour::xds
