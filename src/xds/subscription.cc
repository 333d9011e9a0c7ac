// SPDX-License-Identifier: Apache-2.0

#include "xds/subscription.h"

#include <algorithm>
#include <charconv>
#include <iterator>

#include "base/status.h"

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

// States of ended streams that a session remembers: of one stream per route configuration there may
// be many.
constexpr std::size_t kRememberedStates = 256;

// In which order the types are written.
constexpr std::array<ResourceType, kResourceTypes> kOrder = {
    ResourceType::kCluster,  ResourceType::kEndpoints, ResourceType::kSecret,
    ResourceType::kListener, ResourceType::kRoutes,    ResourceType::kScopedRoutes};

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

bool SameVersion(const ResourcePtr& a, const ResourcePtr& b) {
  if (a == nullptr || b == nullptr) return a == b;
  return a->known == b->known && a->version == b->version;
}

std::string VersionOf(const ResourcePtr& resource) {
  return resource->known ? resource->version.Hex() : "unknown";
}

}  // namespace

// ---- Stream: requests ----

Stream::Stream(Session& session, std::uint64_t id, Protocol protocol)
    : session_(session), id_(id), protocol_(protocol) {}

void Stream::Touch(ResourceType type, const std::string& name, bool force) {
  bool& forced = state(type).dirty.try_emplace(name, false).first->second;
  forced = forced || force;
  session_.ready_.emplace(Rank(type), id_);
}

void Stream::AddName(ResourceType type, const std::string& name) {
  state(type).names.insert_or_assign(name, session_.sequence_);
  session_.AddSubscriber(type, name, *this);
}

// No longer subscribed: the Envoy drops it by itself.
void Stream::Forget(ResourceType type, const std::string& name) {
  State& s = state(type);
  if (type == ResourceType::kCluster && s.told.Contains(name))
    session_.ClusterWithdrawn(name, s.told.Find(name));
  s.told.Remove(name);
  s.irregular.erase(name);
  s.dirty.erase(name);
  s.held.erase(name);
  s.blocked.erase(name);
}

void Stream::KeepOnlyNames(ResourceType type) {
  State& s = state(type);
  s.wildcard = false;
  s.all = false;
  session_.SetWildcard(type, *this, false);
  std::vector<std::string> gone;
  s.told.ForEach([&](const ResourcePtr& told) {
    if (!s.names.contains(told->name)) gone.push_back(told->name);
  });
  for (const std::string& name : gone) Forget(type, name);
}

absl::Status Stream::OnRequest(const Request& request, Time now) {
  const TypeInfo* info = FindType(request.type_url);
  if (info == nullptr)
    return InvalidArgument("no resource registered for typeURL {}", Quote(request.type_url));
  session_.Begin(now);
  session_.Refresh();
  if (delta()) {
    OnDelta(info->type, request, now);
  } else {
    OnStateOfTheWorld(info->type, request, now);
  }
  session_.ready_.emplace(Rank(info->type), id_);
  return absl::OkStatus();
}

void Stream::FirstStateOfTheWorld(ResourceType type, const Request& request, Time now) {
  State& s = state(type);
  s.subscribed = s.answer = s.resend = true;
  for (const std::string& name : request.names) {
    if (name == kWildcard) {
      s.wildcard = true;
    } else {
      AddName(type, name);
    }
  }
  s.wildcard = s.all = s.wildcard || s.names.empty();
  if (s.wildcard) session_.SetWildcard(type, *this, true);
  Table subset = s.wildcard ? session_.snapshot_->table(type) : Table();
  for (const auto& [name, asked] : s.names) {
    s.dirty.emplace(name, true);
    if (ResourcePtr wanted = Wanted(type, name); wanted != nullptr) subset.Set(std::move(wanted));
  }
  const bool resuming = !request.version.empty();
  // The version doesn't say which routes it has since when: those of a listener that we sent just
  // now are new to it.
  const bool telling = type != ResourceType::kRoutes || !session_.listeners_changed_;
  if (resuming && telling && subset.version().Hex() == request.version) {
    s.told = std::move(subset);  // it has just this
  } else if (const Table* had = session_.Recall(type, request.version);
             resuming && telling && had != nullptr) {
    const EditToken token = NewEditToken();
    had->ForEach([&](const ResourcePtr& resource) {
      if (s.wildcard || s.names.contains(resource->name)) s.told.Set(resource, token);
    });
  } else if (resuming && (IsUser(type) || type == ResourceType::kEndpoints)) {
    // It has something under these names, which may be in use.
    const EditToken token = NewEditToken();
    subset.ForEach(
        [&](const ResourcePtr& resource) { s.told.Set(MakeUnknown(resource->name, {}), token); });
  }
  // A stream from before isn't that of a cluster sent since (see SettleSharers).
  if (resuming) {
    for (auto& [name, asked] : s.names) asked = 0;
  }
  session_.Subscribed(type, *this, resuming, now);
}

// A name that was dropped and is wanted again is subscribed anew, also if only a stale request says
// so.
void Stream::NoteMissed(ResourceType type, const Request& request) {
  State& s = state(type);
  const StringSet names(request.names.begin(), request.names.end());
  for (const auto& [name, asked] : s.names) {
    if (!names.contains(name)) s.missed.insert(name);
  }
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
      return name == kWildcard ? s.wildcard : s.names.contains(name);
    });
    if (same && asked.size() >= s.names.size()) {
      Request meant = request;
      meant.nonce = s.last_nonce;
      Resolve(type, meant, now);
    }
  }

  StringSet names(request.names.begin(), request.names.end());
  const bool explicit_wildcard = names.erase(std::string(kWildcard)) > 0;
  // An empty list stays the wildcard that it was from the start; after names it means none.
  const bool wildcard = explicit_wildcard || (names.empty() && s.wildcard);
  std::vector<std::string> dropped;
  for (const auto& [name, asked] : s.names) {
    if (!names.contains(name)) dropped.push_back(name);
  }
  for (const std::string& name : dropped) {
    s.names.erase(name);
    session_.RemoveSubscriber(type, name, *this);
    if (!wildcard) Forget(type, name);
  }
  if (wildcard && !s.wildcard) {
    s.wildcard = s.all = s.answer = true;
    session_.SetWildcard(type, *this, true);
  } else if (!wildcard && s.wildcard) {
    for (const std::string& name : names) AddName(type, name);
    KeepOnlyNames(type);
    s.answer = true;
  }
  const StringSet missed = std::exchange(s.missed, {});
  for (const std::string& name : names) {
    if (s.names.contains(name) && !missed.contains(name)) continue;
    AddName(type, name);
    s.answer = true;  // asked for: answered, whether it exists or not
    Touch(type, name, true);
  }
  if (!dropped.empty()) session_.RecheckBlocked();
}

void Stream::FirstDelta(ResourceType type, const Request& request, Time now) {
  State& s = state(type);
  s.subscribed = true;
  bool wildcard = request.subscribe.empty();
  for (const std::string& name : request.subscribe) {
    if (name == kWildcard) {
      wildcard = true;
      continue;
    }
    AddName(type, name);
    s.dirty.insert_or_assign(name, true);
  }
  s.wildcard = s.all = s.answer = wildcard;
  if (wildcard) session_.SetWildcard(type, *this, true);
  const EditToken token = NewEditToken();
  for (const auto& [name, text] : request.initial_versions) {
    const bool named = s.names.contains(name);
    if (!wildcard && !named) continue;
    const Hash128 version = ParseVersion(text);
    ResourcePtr has = session_.snapshot_->Find(type, name);
    if (has == nullptr) has = MakeBlank(name);
    if (has->version != version) has = session_.Recall(type, name, version);
    if (has == nullptr) has = MakeUnknown(name, version);
    s.told.Set(std::move(has), token);
    // Only the difference, except of a cluster that waits for it.
    if (named) {
      s.dirty.insert_or_assign(name, session_.AwaitsAssignment(type, name));
      s.names.insert_or_assign(name, 0);  // nor is it the stream of a cluster sent since
    }
  }
  const bool resuming = !request.initial_versions.empty();
  if (type == ResourceType::kEndpoints && resuming) session_.EndpointsResumed(now);
  session_.Subscribed(type, *this, resuming, now);
}

void Stream::OnDelta(ResourceType type, const Request& request, Time now) {
  State& s = state(type);
  if (!s.subscribed) {
    FirstDelta(type, request, now);
    return;
  }
  if (!request.nonce.empty()) Resolve(type, request, now);
  for (const std::string& name : request.subscribe) {
    if (name != kWildcard) {
      AddName(type, name);
      Touch(type, name, true);
      continue;
    }
    s.wildcard = s.all = s.answer = true;
    session_.SetWildcard(type, *this, true);
    s.told.ForEach([&](const ResourcePtr& told) { Touch(type, told->name, true); });
  }
  for (const std::string& name : request.unsubscribe) {
    if (name == kWildcard) {
      KeepOnlyNames(type);
      continue;
    }
    if (s.names.erase(name) == 0) continue;
    session_.RemoveSubscriber(type, name, *this);
    if (s.wildcard) {
      Touch(type, name,
            true);  // still subscribed through the wildcard, which the client may not know
    } else {
      Forget(type, name);
    }
  }
  if (!request.unsubscribe.empty()) session_.RecheckBlocked();
}

// ---- Stream: acknowledgements ----

bool Stream::Resolve(ResourceType type, const Request& request, Time now) {
  State& s = state(type);
  const auto named =
      std::find_if(s.in_flight.begin(), s.in_flight.end(),
                   [&](const InFlight& response) { return response.nonce == request.nonce; });
  if (named == s.in_flight.end()) return false;
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
        const auto at = s.irregular.find(change.name);
        if (at == s.irregular.end() || at->second.since > response.sequence) continue;
        --at->second.in_flight;
      }
    }
  }
  // The whole state was accepted: also what came in responses that were rejected before.
  if (!request.error.has_value() && !delta() && Info(type).whole && last) {
    std::vector<std::string> names;
    for (const auto& [name, irregular] : s.irregular) {
      const ResourcePtr told = s.told.Find(name);
      if (told == nullptr || told->known) names.push_back(name);
    }
    for (const std::string& name : names) {
      s.irregular.erase(name);
      if (type == ResourceType::kCluster) session_.ClusterAcknowledged(name, sequence, now);
    }
  }
  session_.ready_.emplace(Rank(type), id_);
  if (IsUser(type)) session_.RecheckBlocked();
  return true;
}

void Stream::Accept(ResourceType type, const InFlight& response, Time now) {
  for (const Change& change : response.changes) AcceptChange(type, change, response.sequence, now);
  state(type).accepted = response.told;
  if (type == ResourceType::kCluster) session_.ClustersAcknowledged(response.sequence, now);
}

void Stream::AcceptChange(ResourceType type, const Change& change, std::uint64_t sequence,
                          Time now) {
  State& s = state(type);
  const auto at = s.irregular.find(change.name);
  if (at == s.irregular.end() || at->second.since > sequence) {
    MayRun(type, change);
    return;
  }
  Irregular& irregular = at->second;
  irregular.acknowledged = change.told;
  irregular.rejected = nullptr;
  irregular.words.clear();
  irregular.perhaps.clear();
  irregular.lost = false;
  --irregular.in_flight;
  if (irregular.in_flight == 0 && SameVersion(s.told.Find(change.name), change.told))
    s.irregular.erase(at);
  if (change.told == nullptr) return;
  if (type == ResourceType::kCluster) session_.ClusterAcknowledged(change.name, sequence, now);
  if (type == ResourceType::kEndpoints) {
    session_.AssignmentAcknowledged(*change.told, *this, sequence, now);
  }
}

// The Envoy may run this: it was rejected together with others, or its name was unsubscribed and
// subscribed again while it was under way.
void Stream::MayRun(ResourceType type, const Change& change) {
  State& s = state(type);
  if (!IsUser(type) || change.told == nullptr) return;
  if (!s.wildcard && !s.names.contains(change.name)) return;
  Irregular& irregular = s.irregular[change.name];
  if (irregular.perhaps.size() < kRejectedContents) {
    irregular.perhaps.push_back(change.told);
  } else {
    irregular.lost = true;
  }
}

// The Envoy runs what it ran before, except that it may have applied some of the response. What was
// told stays, so that equal content isn't sent again; the next content is judged against what was
// acknowledged. This is the place for finding the culprit: `response.changes` says what the words
// may be about.
void Stream::Reject(ResourceType type, const InFlight& response, const std::string& words,
                    Time now) {
  State& s = state(type);
  Rejection rejection{type, session_.identity_.node_id, session_.identity_.peer, words, {}};
  const bool whole = !delta() && Info(type).whole;
  const bool together = (whole ? response.told.size() : response.changes.size()) > 1;
  for (const Change& change : response.changes) {
    rejection.names.push_back(change.name);
    if (change.told == nullptr) {  // nothing that could be bad
      AcceptChange(type, change, response.sequence, now);
      continue;
    }
    const auto at = s.irregular.find(change.name);
    if (at != s.irregular.end() && at->second.since <= response.sequence) {
      --at->second.in_flight;
      at->second.rejected = change.told;
      at->second.words = words;
    }
    if (together) MayRun(type, change);
  }
  ++session_.counters_.rejections[Index(type)];
  if (session_.options_.on_rejection) session_.options_.on_rejection(rejection);
}

// ---- Stream: responses ----

std::optional<Response> Stream::Next(Time now) {
  session_.Refresh();
  for (const ResourceType type : kOrder) {
    if (std::optional<Response> response = Make(type, now)) return response;
  }
  return std::nullopt;
}

// What the Envoy is to have under this name in the end; nullptr: nothing.
ResourcePtr Stream::Wanted(ResourceType type, const std::string& name) const {
  if (ResourcePtr resource = session_.snapshot_->Find(type, name); resource != nullptr)
    return resource;
  const State& s = state(type);
  const bool named = s.names.contains(name);
  const bool told = s.told.Contains(name);
  if (type == ResourceType::kEndpoints &&
      (((named || told) && session_.snapshot_->ClustersWithAssignment(name) > 0) ||
       (named && !told && session_.RetainedClusterUses(name)))) {
    return MakeBlank(name);
  }
  if (!delta() && Info(type).blank_if_unknown && named) return MakeBlank(name);
  return nullptr;
}

// Whether something that the Envoy has and the snapshot lacks may be withdrawn (or emptied) now.
bool Stream::MayWithdraw(ResourceType type, const std::string& name,
                         std::optional<ClusterUses>& uses, Time now) const {
  switch (type) {
    case ResourceType::kCluster:
      if (session_.snapshot_->UsersOfCluster(name) > 0 || session_.AwaitsUsers(now)) return false;
      if (!uses.has_value()) uses = session_.CollectUses();
      return !uses->unknown && !uses->clusters.contains(name);
    case ResourceType::kEndpoints:
      return session_.snapshot_->ClustersWithAssignment(name) > 0 ||
             !session_.RetainedClusterUses(name);
    case ResourceType::kListener:
      return true;
    case ResourceType::kRoutes:
    case ResourceType::kSecret:
      return session_.ListenersInSync();
    case ResourceType::kScopedRoutes:
      // A host goes at once, all of them only after the listeners that look hosts up in this way.
      // Those that a control plane of that shape left are not ours: connections that are being
      // drained use them, and Envoy drops them with the last.
      return !session_.snapshot_->table(type).empty() ||
             (session_.had_scopes_ && session_.ListenersInSync());
  }
  return true;
}

// What of `wanted` may be announced now.
Stream::Judgement Stream::Judge(ResourceType type, const std::string& name,
                                const ResourcePtr& wanted, bool force, Time now) {
  State& s = state(type);
  const auto held = s.held.find(name);
  if ((wanted->clusters.empty() && wanted->parts.empty()) || !session_.JudgesWarmth(now)) {
    if (held != s.held.end()) s.held.erase(held);
    return {wanted, false, 0};
  }
  ResourcePtr base = s.told.Find(name);
  if (const auto at = s.irregular.find(name); at != s.irregular.end() &&
                                              at->second.rejected != nullptr &&
                                              SameVersion(at->second.rejected, base)) {
    base = at->second.acknowledged;
  }
  const bool known = base == nullptr || base->known;

  Hold hold;
  hold.force = force;
  Judgement judgement;
  const auto waits = [&](const std::string& part, const std::vector<std::string>& needs,
                         const std::vector<std::string>* has) {
    bool cold = false;
    for (const std::string& cluster : needs) {
      if (has != nullptr && std::find(has->begin(), has->end(), cluster) != has->end()) continue;
      if (session_.IsWarm(cluster)) continue;
      cold = true;
      hold.waiting_for.insert(cluster);
    }
    if (!cold) return false;
    Time since = now;
    if (held != s.held.end()) {
      if (const auto at = held->second.since.find(part); at != held->second.since.end())
        since = at->second;
    }
    if (now >= since + session_.options_.warm_timeout) {
      ++judgement.released;
      return false;
    }
    hold.earliest = hold.since.empty() ? since : std::min(hold.earliest, since);
    hold.since.emplace(part, since);
    return true;
  };

  std::vector<std::pair<PartPtr, PartPtr>> waiting;  // before, wanted
  bool all = false;
  if (known) {
    all = waits("", wanted->clusters, base == nullptr ? nullptr : &base->clusters);
    Parts::Diff(base == nullptr ? Parts() : base->parts, wanted->parts,
                [&](const PartPtr& was, const PartPtr& is) {
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
    if (held != s.held.end()) s.held.erase(held);
  } else {
    s.held.insert_or_assign(name, std::move(hold));
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
  const ResourcePtr was = s.told.Find(change.name);
  const auto [at, added] = s.irregular.try_emplace(change.name);
  if (added) {
    at->second.acknowledged = was;
    at->second.since = sequence;
  }
  ++at->second.in_flight;
  if (change.told != nullptr) {
    s.told.Set(change.told, token);
  } else {
    s.told.Remove(change.name, token);
  }
  if (type == ResourceType::kListener && !SameVersion(was, change.told))
    session_.listeners_changed_ = true;
  if (type != ResourceType::kCluster) return;
  if (change.told == nullptr) {
    session_.ClusterWithdrawn(change.name, was);
  } else if (!SameVersion(was, change.told)) {
    session_.ClusterSent(*change.told, sequence);
  }
}

std::optional<Response> Stream::Make(ResourceType type, Time now) {
  State& s = state(type);
  const std::size_t limit = type == ResourceType::kCluster ? kClusterResponses : 1;
  if (!s.subscribed || s.in_flight.size() >= limit) return std::nullopt;
  if (std::exchange(s.all, false)) {
    Table::Diff(s.told, session_.snapshot_->table(type),
                [&](const ResourcePtr& was, const ResourcePtr& is) {
                  s.dirty.try_emplace(is != nullptr ? is->name : was->name, false);
                });
  }
  if (s.dirty.empty() && !s.answer) return std::nullopt;

  const bool whole = !delta() && Info(type).whole;
  std::vector<Change> changes;
  std::size_t released = 0;
  bool stalled = false;
  std::optional<ClusterUses> uses;
  std::map<std::string, bool> dirty = std::exchange(s.dirty, {});
  for (auto& [name, force] : dirty) {
    if (const auto at = s.held.find(name); at != s.held.end()) force = force || at->second.force;
    if (const auto at = s.blocked.find(name); at != s.blocked.end()) {
      force = force || at->second;
      s.blocked.erase(at);
    }
    if (!s.wildcard && !s.names.contains(name)) {
      s.held.erase(name);
      continue;
    }
    const ResourcePtr told = s.told.Find(name);
    const ResourcePtr wanted = Wanted(type, name);
    if (told != nullptr && !SameVersion(told, wanted) &&
        session_.snapshot_->Find(type, name) == nullptr && !MayWithdraw(type, name, uses, now)) {
      s.held.erase(name);
      s.blocked.emplace(name, false);
      if (force && told->known) changes.push_back({name, told});
      continue;
    }
    if (wanted == nullptr) {
      s.held.erase(name);
      if (delta() ? (told != nullptr || force) : (told != nullptr && whole)) {
        changes.push_back({name, nullptr});
      } else if (told != nullptr) {
        s.told.Remove(name);  // of these types state of the world has no word for a withdrawal
        s.irregular.erase(name);
      }
      continue;
    }
    const Judgement judgement = Judge(type, name, wanted, force, now);
    if (judgement.absent) {
      if (told != nullptr) changes.push_back({name, nullptr});
      continue;
    }
    if (judgement.view == nullptr) {
      stalled = stalled || (whole && told != nullptr && !told->known);
      if (force && told != nullptr && told->known) {
        changes.push_back({name, told});
        s.held[name].force = false;
      }
      continue;
    }
    if (!force && SameVersion(told, judgement.view)) continue;
    released += judgement.released;
    changes.push_back({name, judgement.view});
  }
  if (stalled) {  // the answer would withdraw what the Envoy has and we can't name
    s.dirty = std::move(dirty);
    UpdateWatch();
    return std::nullopt;
  }
  UpdateWatch();
  if (changes.empty() && !s.answer) return std::nullopt;

  const std::uint64_t sequence = ++session_.sequence_;
  Response response;
  response.protocol = protocol_;
  response.type = type;
  response.nonce = std::to_string(++nonces_);
  const EditToken token = NewEditToken();
  for (const Change& change : changes) Tell(type, change, sequence, token);
  // Equal content in the snapshot's own nodes, so that an Envoy that has everything costs nothing.
  if (const Table& all = session_.snapshot_->table(type);
      s.told.size() == all.size() && s.told.version() == all.version()) {
    s.told = all;
  }
  if (delta() || (!whole && !s.resend)) {
    for (const Change& change : changes) {
      if (change.told != nullptr) {
        response.resources.push_back(change.told);
      } else {
        response.removed.push_back(change.name);
      }
    }
  } else {
    response.resources = s.told.Sorted();
    std::erase_if(response.resources, [](const ResourcePtr& resource) { return !resource->known; });
  }
  response.version = (delta() ? session_.snapshot_->table(type) : s.told).version().Hex();
  s.answer = s.resend = false;
  s.last_nonce = response.nonce;
  s.in_flight.push_back(
      {response.nonce, response.version, sequence, std::move(changes), s.told, now});
  session_.counters_.released += released;
  ++session_.counters_.responses[Index(type)];
  return response;
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
      had_scopes_(!snapshot_->table(ResourceType::kScopedRoutes).empty()) {}

Session::~Session() = default;

Stream& Session::Attach(Protocol protocol) {
  const std::uint64_t id = ++stream_ids_;
  return *streams_.emplace(id, std::unique_ptr<Stream>(new Stream(*this, id, protocol)))
              .first->second;
}

void Session::Detach(Stream& stream, Time now) {
  for (const TypeInfo& info : kTypes) {
    const std::size_t i = Index(info.type);
    const Stream::State& s = stream.states_[i];
    subscribed_[i].erase(&stream);
    wildcards_[i].erase(&stream);
    for (const auto& [name, asked] : s.names) {
      RemoveSubscriber(info.type, name, stream);
      if (info.type == ResourceType::kEndpoints) Unanswer(name, stream);
    }
    if (!s.subscribed) continue;
    Remember(stream, info.type);
    if (info.type == ResourceType::kCluster && subscribed_[i].empty())
      resuming_until_ = now + options_.warm_timeout;
    if (!IsUser(info.type)) continue;
    s.told.ForEach(
        [&](const ResourcePtr& told) { ghosts_.push_back({now + kGhostTime, info.type, told}); });
    for (const auto& [name, irregular] : s.irregular) {
      if (irregular.acknowledged == nullptr) continue;
      ghosts_.push_back({now + kGhostTime, info.type, irregular.acknowledged});
    }
  }
  watched_.erase(&stream);
  std::erase_if(ready_, [&](const auto& entry) { return entry.second == stream.id_; });
  streams_.erase(stream.id_);
}

void Session::Offer(SnapshotPtr snapshot) {
  offered_ = std::move(snapshot);
  if (offered_ == snapshot_) return;
  // Any stream may be concerned; which ones are shows Refresh(), once somebody can write.
  if (!streams_.empty()) ready_.emplace(0, streams_.begin()->first);
}

template <typename Function>
void Session::ForEachSubscriber(ResourceType type, std::string_view name, Function&& f) {
  if (identity_.aggregated) {
    for (Stream* stream : subscribed_[Index(type)]) {
      const Stream::State& s = stream->state(type);
      if (s.wildcard || s.names.find(name) != s.names.end()) f(*stream);
    }
    return;
  }
  for (Stream* stream : wildcards_[Index(type)]) f(*stream);
  const auto& by_name = by_name_[Index(type)];
  if (const auto at = by_name.find(name); at != by_name.end()) {
    for (Stream* stream : at->second) f(*stream);
  }
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
  if (type == ResourceType::kCluster) {
    users_awaited_until_ = now + options_.warm_timeout;
    RecheckHeld(nullptr);
    RecheckBlocked();
  }
  if (IsUser(type)) {
    std::erase_if(ghosts_, [&](const Ghost& ghost) {
      const Stream::State& s = stream.state(type);
      return ghost.type == type && (s.wildcard || s.names.contains(ghost.resource->name));
    });
    RecheckBlocked();
  }
}

// Marks what differs between the snapshot that the streams know and the newest.
void Session::Refresh() {
  if (offered_ == snapshot_) return;
  const SnapshotPtr before = std::exchange(snapshot_, offered_);
  had_scopes_ = had_scopes_ || !snapshot_->table(ResourceType::kScopedRoutes).empty();
  for (const TypeInfo& info : kTypes) {
    const auto touch = [&](ResourceType type, const std::string& name) {
      ForEachSubscriber(type, name, [&](Stream& stream) { stream.Touch(type, name); });
    };
    Table::Diff(before->table(info.type), snapshot_->table(info.type),
                [&](const ResourcePtr& was, const ResourcePtr& is) {
                  touch(info.type, is != nullptr ? is->name : was->name);
                  if (info.type != ResourceType::kCluster) return;
                  // Whether an assignment that isn't in the snapshot is empty, kept or gone hangs
                  // on its clusters.
                  for (const ResourcePtr& cluster : {was, is}) {
                    if (cluster == nullptr || cluster->assignment.empty()) continue;
                    if (snapshot_->table(ResourceType::kEndpoints).Contains(cluster->assignment))
                      continue;
                    touch(ResourceType::kEndpoints, cluster->assignment);
                  }
                });
  }
  // A use that ends within the snapshot alone may free a cluster (see UsersOfCluster).
  RecheckBlocked();
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
    RecheckHeld(nullptr);
    RecheckBlocked();
  }
  if (users_awaited_until_.has_value() && *users_awaited_until_ <= now) {
    users_awaited_until_.reset();
    RecheckBlocked();
  }
  if (resend_endpoints_at_.has_value() && *resend_endpoints_at_ <= now) {
    resend_endpoints_at_.reset();
    for (Stream* stream : subscribed_[Index(ResourceType::kEndpoints)]) {
      stream->state(ResourceType::kEndpoints).told.ForEach([&](const ResourcePtr& told) {
        stream->Touch(ResourceType::kEndpoints, told->name, true);
      });
    }
  }
  if (std::erase_if(ghosts_, [&](const Ghost& ghost) { return ghost.expires <= now; }) > 0)
    RecheckBlocked();
  while (!warming_.empty() && warming_.begin()->first <= now) {
    const std::string cluster = std::move(warming_.begin()->second);
    warming_.erase(warming_.begin());
    Settle(cluster, now);
  }
  for (Stream* stream : watched_) {
    for (const TypeInfo& info : kTypes) {
      for (auto& [name, hold] : stream->state(info.type).held) {
        if (hold.woken || hold.earliest + options_.warm_timeout > now) continue;
        hold.woken = true;
        stream->Touch(info.type, name);
      }
    }
  }
}

std::optional<Time> Session::NextDeadline() const {
  std::optional<Time> deadline;
  const auto consider = [&](Time time) {
    deadline = deadline.has_value() ? std::min(*deadline, time) : time;
  };
  if (resuming_until_.has_value()) consider(*resuming_until_);
  if (users_awaited_until_.has_value()) consider(*users_awaited_until_);
  if (resend_endpoints_at_.has_value()) consider(*resend_endpoints_at_);
  for (const Ghost& ghost : ghosts_) consider(ghost.expires);
  if (!warming_.empty()) consider(warming_.begin()->first);
  for (const Stream* stream : watched_) {
    for (const Stream::State& s : stream->states_) {
      for (const auto& [name, hold] : s.held) {
        if (!hold.woken) consider(hold.earliest + options_.warm_timeout);
      }
    }
  }
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
  if (cold_.contains(cluster)) return false;
  const auto& streams = subscribed_[Index(ResourceType::kCluster)];
  return std::any_of(streams.begin(), streams.end(), [&](const Stream* stream) {
    return stream->state(ResourceType::kCluster).told.Contains(cluster);
  });
}

void Session::ClusterSent(const Resource& cluster, std::uint64_t sequence) {
  Cold cold;
  cold.pushed = sequence;
  cold.version = cluster.version;
  cold.warm_by = cluster.warm_by;
  cold.assignment = cluster.assignment;
  cold.warm_time = cluster.warm_time;
  MakePhantom(cluster.name, sequence);
  ForgetCold(cluster.name);
  if (!cluster.assignment.empty()) cold_by_assignment_[cluster.assignment].insert(cluster.name);
  cold_.emplace(cluster.name, std::move(cold));
  // In streams per type each cluster asks for its assignment itself, on a stream of its own.
  if (!identity_.aggregated || cluster.assignment.empty()) return;
  ForEachSubscriber(ResourceType::kEndpoints, cluster.assignment, [&](Stream& stream) {
    stream.Touch(ResourceType::kEndpoints, cluster.assignment, true);
  });
}

void Session::ClusterWithdrawn(const std::string& name, const ResourcePtr& was) {
  MakePhantom(name, sequence_);
  ForgetCold(name);
  if (was != nullptr && !was->known) RecheckBlocked();  // it might have used any assignment
  if (was == nullptr || was->assignment.empty()) return;
  ForEachSubscriber(ResourceType::kEndpoints, was->assignment, [&](Stream& stream) {
    stream.Touch(ResourceType::kEndpoints, was->assignment);
  });
}

void Session::MakePhantom(const std::string& cluster, std::uint64_t sequence) {
  const auto at = cold_.find(cluster);
  if (identity_.aggregated || at == cold_.end() || at->second.assigned ||
      at->second.assignment.empty())
    return;
  phantoms_.emplace(at->second.assignment, sequence);
}

void Session::ForgetCold(const std::string& cluster) {
  const auto at = cold_.find(cluster);
  if (at == cold_.end()) return;
  if (const auto users = cold_by_assignment_.find(at->second.assignment);
      users != cold_by_assignment_.end()) {
    users->second.erase(cluster);
    if (users->second.empty()) cold_by_assignment_.erase(users);
  }
  cold_.erase(at);
}

void Session::ClustersAcknowledged(std::uint64_t sequence, Time now) {
  clusters_acknowledged_ = true;
  resend_endpoints_at_.reset();
  std::set<std::string> assignments;
  std::erase_if(phantoms_, [&](const auto& phantom) {
    const bool gone = phantom.second <= sequence;
    if (gone) assignments.insert(phantom.first);
    return gone;
  });
  for (const std::string& assignment : assignments) SettleSharers(assignment, now);
}

// `sequence`: of the response that was acknowledged.
void Session::ClusterAcknowledged(const std::string& name, std::uint64_t sequence, Time now) {
  const auto at = cold_.find(name);
  if (at == cold_.end() || at->second.pushed > sequence) return;
  at->second.acknowledged = true;
  const std::string assignment = at->second.assignment;
  if (!identity_.aggregated && !assignment.empty()) SettleSharers(assignment, now);
  Settle(name, now);
}

void Session::AssignmentAcknowledged(const Resource& assignment, const Stream& stream,
                                     std::uint64_t sequence, Time now) {
  const std::string& name = assignment.name;
  const auto users = cold_by_assignment_.find(name);
  if (users == cold_by_assignment_.end()) return;
  std::vector<std::string> waiting;  // clusters that wait for this assignment
  for (const std::string& cluster : users->second) {
    Cold& cold = cold_.at(cluster);
    if (sequence <= cold.pushed) continue;
    cold.empty = assignment.without_endpoints;
    waiting.push_back(cluster);
  }
  if (identity_.aggregated) {
    for (const std::string& cluster : waiting) {
      cold_.at(cluster).assigned = true;
      Settle(cluster, now);
    }
    return;
  }
  // Streams per type: each cluster asks for itself, on a stream that doesn't say for which.
  const StringMap<std::uint64_t>& names = stream.state(ResourceType::kEndpoints).names;
  const auto asked = names.find(name);
  for (const std::string& cluster : waiting) {
    Cold& cold = cold_.at(cluster);
    if (asked == names.end() || asked->second >= cold.pushed) cold.answered.insert(stream.id_);
  }
  for (const std::string& cluster : waiting) Settle(cluster, now);
  SettleSharers(name, now);
}

// Streams per type: all clusters that wait for this assignment are served when as many streams that
// asked since have acknowledged it.
void Session::SettleSharers(const std::string& assignment, Time now) {
  for (;;) {
    const auto users = cold_by_assignment_.find(assignment);
    if (users == cold_by_assignment_.end()) return;
    std::size_t waiting = phantoms_.count(assignment);
    for (const std::string& cluster : users->second) waiting += cold_.at(cluster).assigned ? 0 : 1;
    std::vector<std::string> served;
    for (const std::string& cluster : users->second) {
      const Cold& cold = cold_.at(cluster);
      if (!cold.assigned && cold.acknowledged && cold.answered.size() >= waiting)
        served.push_back(cluster);
    }
    if (served.empty()) return;
    for (const std::string& cluster : served) {
      cold_.at(cluster).assigned = true;
      Settle(cluster, now);
    }
  }
}

void Session::Unanswer(const std::string& assignment, const Stream& stream) {
  const auto users = cold_by_assignment_.find(assignment);
  if (users == cold_by_assignment_.end()) return;
  for (const std::string& cluster : users->second) cold_.at(cluster).answered.erase(stream.id_);
}

// Takes note if the cluster is warm now.
void Session::Settle(const std::string& cluster, Time now) {
  const auto at = cold_.find(cluster);
  if (at == cold_.end()) return;
  Cold& cold = at->second;
  const bool by_assignment = cold.warm_by == WarmBy::kAssignment;
  bool warm = by_assignment ? cold.assigned : cold.acknowledged;
  if (!identity_.aggregated) {
    warm = cold.acknowledged && (cold.assigned || cold.assignment.empty());
    if (warm && !by_assignment) {
      if (!cold.warm_at.has_value()) {
        cold.warm_at = now + cold.warm_time;
        warming_.emplace(*cold.warm_at, cluster);
      }
      warm = now >= *cold.warm_at;
    }
  }
  if (warm && by_assignment && cold.empty) {
    if (!cold.empty_until.has_value()) {
      cold.empty_until = now + options_.empty_wait;
      warming_.emplace(*cold.empty_until, cluster);
    }
    warm = now >= *cold.empty_until;
  }
  if (!warm) return;
  ForgetCold(cluster);
  RecheckHeld(&cluster);
}

// ---- Session: across connections ----

void Session::Remember(const Stream& stream, ResourceType type) {
  if (!identity_.aggregated && type != ResourceType::kCluster && !IsUser(type)) return;
  const Stream::State& s = stream.state(type);
  std::vector<Memory::State>& states = leaving_.states[Index(type)];
  const EditToken token = NewEditToken();
  const auto add = [&](const Table& table) {
    const bool known = std::any_of(states.begin(), states.end(), [&](const Memory::State& other) {
      return other.version == table.version();
    });
    if (known || states.size() >= kRememberedStates) return;
    Table subscribed = table;
    if (!s.wildcard) {
      table.ForEach([&](const ResourcePtr& resource) {
        if (!s.names.contains(resource->name)) subscribed.Remove(resource->name, token);
      });
    }
    states.push_back({table.version(), std::move(subscribed)});
  };
  // Which of these it has shows its next request.
  add(s.told);
  add(s.accepted);
  for (const Stream::InFlight& response : s.in_flight) add(response.told);
  Table acknowledged = s.told;
  for (const auto& [name, irregular] : s.irregular) {
    if (irregular.acknowledged != nullptr) {
      acknowledged.Set(irregular.acknowledged, token);
    } else {
      acknowledged.Remove(name, token);
    }
  }
  add(acknowledged);
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

// An Envoy that had clusters before is going to subscribe to them again, if later than to the rest.
void Session::Begin(Time now) {
  if (std::exchange(begun_, true)) return;
  if (memory_ == nullptr || memory_->states[Index(ResourceType::kCluster)].empty()) return;
  resuming_until_ = now + options_.warm_timeout;
}

bool Session::AwaitsAssignment(ResourceType type, const std::string& name) const {
  return type == ResourceType::kEndpoints && identity_.aggregated &&
         cold_by_assignment_.contains(name);
}

// The connection may have broken between a cluster and its assignment. Then the Envoy has an
// assignment of that name from before, doesn't ask for it, and the cluster would end empty. In ADS
// it shows: it doesn't subscribe to clusters again before all are warm (measured with Envoy 1.40:
// endpoints and listeners at once, clusters after the assignment came).
void Session::EndpointsResumed(Time now) {
  if (identity_.aggregated && !clusters_acknowledged_) resend_endpoints_at_ = now + kWarmingShows;
}

// ---- Session: what is still in use ----

bool Session::ListenersInSync() const {
  const auto& streams = subscribed_[Index(ResourceType::kListener)];
  if (streams.empty() && resuming_until_.has_value()) return false;  // it has yet to name them
  return std::all_of(streams.begin(), streams.end(), [](const Stream* stream) {
    const Stream::State& s = stream->state(ResourceType::kListener);
    return !s.all && !s.answer && s.dirty.empty() && s.held.empty() && s.in_flight.empty() &&
           s.irregular.empty();
  });
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

ClusterUses Session::CollectUses() const {
  ClusterUses uses;
  for (const ResourceType type : kUsers) {
    for (const Stream* stream : subscribed_[Index(type)]) CollectFrom(*stream, type, uses);
  }
  for (const Ghost& ghost : ghosts_) CollectView(ghost.type, ghost.resource, uses);
  return uses;
}

// Only what isn't as in the snapshot can name clusters that the snapshot's users don't.
void Session::CollectFrom(const Stream& stream, ResourceType type, ClusterUses& uses) const {
  const Stream::State& s = stream.state(type);
  std::set<std::string> names;
  for (const auto& [name, value] : s.dirty) names.insert(name);
  for (const auto& [name, value] : s.held) names.insert(name);
  for (const auto& [name, value] : s.blocked) names.insert(name);
  for (const auto& [name, irregular] : s.irregular) {
    names.insert(name);
    CollectView(type, irregular.acknowledged, uses);
    for (const ResourcePtr& perhaps : irregular.perhaps) CollectView(type, perhaps, uses);
    uses.unknown = uses.unknown || irregular.lost;
  }
  // Also of names that were unsubscribed meanwhile: they may be again before this arrives.
  for (const Stream::InFlight& response : s.in_flight) {
    for (const Stream::Change& change : response.changes) CollectView(type, change.told, uses);
  }
  if (s.all) s.told.ForEach([&](const ResourcePtr& told) { names.insert(told->name); });
  for (const std::string& name : names) CollectView(type, s.told.Find(name), uses);
}

void Session::CollectView(ResourceType type, const ResourcePtr& view, ClusterUses& uses) const {
  if (view == nullptr) return;
  if (!view->known) {
    uses.unknown = true;
    return;
  }
  const ResourcePtr target = snapshot_->Find(type, view->name);
  if (target != nullptr && target->version == view->version) return;
  uses.clusters.insert(view->clusters.begin(), view->clusters.end());
  Parts::Diff(view->parts, target == nullptr ? Parts() : target->parts,
              [&](const PartPtr& was, const PartPtr&) {
                if (was != nullptr)
                  uses.clusters.insert(was->clusters.begin(), was->clusters.end());
              });
}

// Whether a cluster that the snapshot lacks but an Envoy still has takes its endpoints from this
// assignment.
bool Session::RetainedClusterUses(std::string_view assignment) const {
  // One that it doesn't name yet, after a connection broke, may.
  if (resuming_until_.has_value() && subscribed_[Index(ResourceType::kCluster)].empty())
    return true;
  for (const Stream* stream : subscribed_[Index(ResourceType::kCluster)]) {
    const Stream::State& s = stream->state(ResourceType::kCluster);
    const auto uses = [&](const std::string& name) {
      const ResourcePtr cluster = s.told.Find(name);
      return cluster != nullptr && (!cluster->known || cluster->assignment == assignment) &&
             snapshot_->Find(ResourceType::kCluster, name) == nullptr;
    };
    if (std::any_of(s.blocked.begin(), s.blocked.end(),
                    [&](const auto& entry) { return uses(entry.first); }) ||
        std::any_of(s.dirty.begin(), s.dirty.end(),
                    [&](const auto& entry) { return uses(entry.first); })) {
      return true;
    }
  }
  return false;
}

void Session::RecheckBlocked() {
  for (Stream* stream : watched_) {
    for (const TypeInfo& info : kTypes) {
      for (const auto& [name, force] : stream->state(info.type).blocked)
        stream->Touch(info.type, name);
    }
  }
}

// Of what waits for this cluster, or of everything.
void Session::RecheckHeld(const std::string* cluster) {
  for (Stream* stream : watched_) {
    for (const TypeInfo& info : kTypes) {
      for (const auto& [name, hold] : stream->state(info.type).held) {
        if (cluster == nullptr || hold.waiting_for.contains(*cluster))
          stream->Touch(info.type, name);
      }
    }
  }
}

// ---- Session: views ----

std::size_t Session::Held() const {
  std::size_t held = 0;
  for (const Stream* stream : watched_) {
    for (const Stream::State& s : stream->states_) {
      for (const auto& [name, hold] : s.held) held += hold.since.size();
    }
  }
  return held;
}

std::optional<Time> Session::OldestUnanswered() const {
  std::optional<Time> oldest;
  for (const auto& [id, stream] : streams_) {
    for (const Stream::State& s : stream->states_) {
      if (s.in_flight.empty()) continue;
      const Time sent = s.in_flight.front().sent;
      if (!oldest || sent < *oldest) oldest = sent;
    }
  }
  return oldest;
}

SessionView Session::View() const {
  SessionView view;
  view.node_id = identity_.node_id;
  view.peer = identity_.peer;
  view.aggregated = identity_.aggregated;
  view.streams = streams_.size();
  for (const TypeInfo& info : kTypes) {
    std::map<std::string, LedgerEntry> entries;
    for (const Stream* stream : subscribed_[Index(info.type)]) {
      const Stream::State& s = stream->state(info.type);
      const auto entry = [&](const std::string& name) -> LedgerEntry& {
        LedgerEntry& made = entries[name];
        made.type = info.type;
        made.name = name;
        return made;
      };
      s.told.ForEach([&](const ResourcePtr& told) {
        LedgerEntry& e = entry(told->name);
        if (told->known) e.sent = VersionOf(told);
        e.acknowledged = VersionOf(told);
        e.cold = info.type == ResourceType::kCluster && cold_.contains(told->name);
      });
      for (const auto& [name, irregular] : s.irregular) {
        LedgerEntry& e = entry(name);
        e.acknowledged = std::nullopt;
        if (irregular.acknowledged != nullptr) e.acknowledged = VersionOf(irregular.acknowledged);
        if (irregular.rejected != nullptr) e.rejected = VersionOf(irregular.rejected);
        e.words = irregular.words;
      }
      for (const auto& [name, hold] : s.held) {
        for (const auto& [part, since] : hold.since) entry(name).held_parts.push_back(part);
      }
      for (const auto& [name, force] : s.blocked) entry(name).retained = true;
    }
    for (auto& [name, e] : entries) view.entries.push_back(std::move(e));
  }
  return view;
}

}  // namespace contour::xds
