// SPDX-License-Identifier: Apache-2.0
// Handles the requests of state-of-the-world streams.

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "xds/session/envoy_state.h"
#include "xds/session/stream.h"
#include "xds/session/type_rules.h"

namespace contour::xds {

void Stream::OnStateOfTheWorld(ResourceType type, const Request& request, Time now) {
  if (!state_[type].names.started()) {
    FirstStateOfTheWorld(type, request, now);
    return;
  }
  if (IsCurrent(type, request, now)) {
    SetNames(type, request);
  } else {
    state_[type].names.NoteMissed(request.names);  // what it asks for will be asked again
  }
}

// Takes the answer in the request, and returns true if the request knows the last response. Else it
// is stale.
bool Stream::IsCurrent(ResourceType type, const Request& request, Time now) {
  TypeState& state = state_[type];
  const std::string last_nonce = state.sent.last_nonce();
  if (!request.nonce.empty()) {
    state.names.SetUsesNonces();
    OnAnswer(type, request, now);
    return request.nonce == last_nonce;
  }
  if (last_nonce.empty()) return true;
  // Without a nonce, from an Envoy, it is older than the last response and says only which names it
  // wants by now. A client that never sends nonces repeats itself: it has seen the response.
  if (state.names.uses_nonces()) return false;
  if (AsksForTheSame(type, request)) {
    Request meant = request;
    meant.nonce = last_nonce;
    OnAnswer(type, meant, now);
  }
  return true;
}

bool Stream::AsksForTheSame(ResourceType type, const Request& request) const {
  const SubscribedNames& names = state_[type].names;
  const StringSet asked(request.names.begin(), request.names.end());
  return asked.size() >= names.names().size() &&
         std::all_of(asked.begin(), asked.end(), [&](const std::string& name) {
           return IsWildcard(type, name) ? names.wildcard() : names.Contains(name);
         });
}

// Subscribes to the names of the request, and to no others.
void Stream::SetNames(ResourceType type, const Request& request) {
  TypeState& state = state_[type];
  StringSet names(request.names.begin(), request.names.end());
  const bool explicit_wildcard =
      IsWildcard(type, kWildcard) && names.erase(std::string(kWildcard)) > 0;
  // An empty list stays the wildcard that it was from the start; after names it means none.
  const bool wildcard = explicit_wildcard || (names.empty() && state.names.wildcard());
  std::vector<std::string> dropped;
  state.names.names().ForEach([&](const NamePtr& name) {
    if (!names.contains(*name)) dropped.push_back(*name);
  });
  for (const std::string& name : dropped) {
    envoy_.RemoveName(state_, type, name);
    if (!wildcard) envoy_.Forget(state_, type, name);
  }
  const EditToken token = NewEditToken();
  if (wildcard && !state.names.wildcard()) {
    envoy_.SetWildcard(state_, type, true);
    state.pending.AddEverything();
    state.pending.RequireAnswer();
  } else if (!wildcard && state.names.wildcard()) {
    for (const std::string& name : names) envoy_.AddName(state_, type, name, token);
    KeepOnlyNames(type);
    // Asked for by name: sent again. What came by the wildcard an Envoy without such a name
    // ignored.
    for (const std::string& name : names) envoy_.Touch(state_, type, name, true);
    state.pending.RequireAnswer();
  }
  const StringSet missed = state.names.TakeMissed();
  for (const std::string& name : names) {
    if (state.names.Contains(name) && !missed.contains(name)) continue;
    envoy_.AddName(state_, type, name, token);
    state.pending.RequireAnswer();  // asked for: answered, whether it exists or not
    envoy_.Touch(state_, type, name, true);
  }
}

// ---- The first request ----

void Stream::FirstStateOfTheWorld(ResourceType type, const Request& request, Time now) {
  SubscribeFirst(type, request);
  const bool resuming = !request.version.empty();
  if (resuming) {
    ResumeTable(type, request.version);
    // A stream from before isn't that of a cluster sent since (see warming.h).
    state_[type].names.SetAllAskedBefore();
  }
  envoy_.Subscribed(state_, type, resuming, now);
  if (resuming) envoy_.DisputeExclusions(type);
}

void Stream::SubscribeFirst(ResourceType type, const Request& request) {
  TypeState& state = state_[type];
  state.names.Start();
  state.pending.RequireAnswer(/*whole=*/true);
  std::vector<std::string> asked = request.names;
  bool wildcard = IsWildcard(type, kWildcard) && std::erase(asked, kWildcard) > 0;
  state.names.SetWildcard(wildcard);
  envoy_.AddNames(state_, type, asked);
  wildcard = wildcard || state.names.names().empty();
  if (wildcard) {
    envoy_.SetWildcard(state_, type, true);
    state.pending.AddEverything();
  }
  state.pending.AddSubscribed();
}

// Returns what the snapshot has of the subscribed resources.
Table Stream::SubscribedPart(ResourceType type) const {
  const SubscribedNames& names = state_[type].names;
  Table subset = names.wildcard() ? envoy_.snapshot().table(type) : Table();
  const EditToken token = NewEditToken();
  names.names().ForEach([&](const NamePtr& name) {
    if (ResourcePtr wanted = Wanted(type, *name); wanted != nullptr)
      subset.Set(std::move(wanted), token);
  });
  return subset;
}

// Returns the subset as it was before contents were excluded from it.
Table Stream::AsPublished(ResourceType type, Table subset) const {
  const SubscribedNames& names = state_[type].names;
  for (const auto& [key, exclusions] : envoy_.snapshot().exclusions()) {
    if (key.first == type && names.Includes(key.second)) subset.Set(exclusions.front().published);
  }
  return subset;
}

// Notes what the Envoy has that names this version.
void Stream::ResumeTable(ResourceType type, const std::string& version) {
  TypeState& state = state_[type];
  Table subset = SubscribedPart(type);
  Table published = AsPublished(type, subset);
  // The version doesn't say which routes it has since when: those of a listener that we sent just
  // now are new to it.
  const bool telling = type != ResourceType::kRoutes || !envoy_.listeners_changed();
  if (telling && subset.version().Hex() == version) {
    state.sent.Resume(std::move(subset));  // it has just this
    return;
  }
  if (telling && published.version().Hex() == version) {
    state.sent.Resume(std::move(published));
    return;
  }
  const EditToken token = NewEditToken();
  if (const Table* had = envoy_.previous().Recall(type, version); telling && had != nullptr) {
    had->ForEach([&](const ResourcePtr& resource) {
      if (state.names.Includes(resource->name)) state.sent.Resume(resource, token);
    });
    return;
  }
  envoy_.SetUnrecognised(state_, type);
  if (!UsesClusters(type) && type != ResourceType::kEndpoints) return;
  // It has something under these names, which may be in use.
  subset.ForEach([&](const ResourcePtr& resource) {
    state.sent.Resume(MakeUnknown(resource->name, {}), token);
  });
}

}  // namespace contour::xds
