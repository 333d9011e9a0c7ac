// SPDX-License-Identifier: Apache-2.0
// Handles the requests of delta streams.

#include <charconv>
#include <utility>

#include "xds/session/envoy_state.h"
#include "xds/session/stream.h"

namespace contour::xds {
namespace {

// Returns the version that the text, which comes from the wire, stands for. One that isn't ours is
// like nothing of ours.
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

void Stream::OnDelta(ResourceType type, const Request& request, Time now) {
  TypeState& state = state_[type];
  if (!state.names.started()) {
    FirstDelta(type, request, now);
    return;
  }
  if (!request.nonce.empty()) OnAnswer(type, request, now);
  const EditToken token = NewEditToken();
  for (const std::string& name : request.subscribe) {
    if (!IsWildcard(type, name)) {
      envoy_.AddName(state_, type, name, token);
      envoy_.Touch(state_, type, name, true);
      continue;
    }
    envoy_.SetWildcard(state_, type, true);
    state.pending.AddEverything();
    state.pending.RequireAnswer();
    state.sent.table().ForEach(
        [&](const ResourcePtr& sent) { envoy_.Touch(state_, type, NameOf(sent), true); });
  }
  for (const std::string& name : request.unsubscribe) {
    if (IsWildcard(type, name)) {
      KeepOnlyNames(type);
      continue;
    }
    if (!envoy_.RemoveName(state_, type, name)) continue;
    if (state.names.wildcard()) {
      // It is still subscribed through the wildcard, which the client may not know.
      envoy_.Touch(state_, type, name, true);
    } else {
      envoy_.Forget(state_, type, name);
    }
  }
}

void Stream::FirstDelta(ResourceType type, const Request& request, Time now) {
  TypeState& state = state_[type];
  state.names.Start();
  std::vector<std::string> names = request.subscribe;
  bool wildcard = names.empty() && IsWildcard(type, kWildcard);
  // Envoy begins a stream that is about "*" alone with an empty list, also where "*" is a name.
  if (names.empty() && !wildcard) names.emplace_back(kWildcard);
  if (IsWildcard(type, kWildcard)) wildcard = std::erase(names, kWildcard) > 0 || wildcard;
  envoy_.AddNames(state_, type, names);
  if (wildcard) {
    envoy_.SetWildcard(state_, type, true);
    state.pending.AddEverything();
    state.pending.RequireAnswer();
  }
  const bool resuming = !request.initial_versions.empty();
  if (ResumesWithAll(type, request)) {
    state.sent.Resume(envoy_.snapshot().table(type));
  } else {
    for (const std::string& name : state.names.turned_away())
      state.pending.Set(MakeName(name), true);
    if (resuming) {
      ResumeEach(type, request);
    } else {
      state.pending.AddSubscribed();
    }
  }
  if (type == ResourceType::kEndpoints && resuming) envoy_.EndpointsResumed(now);
  envoy_.Subscribed(state_, type, resuming, now);
  if (resuming) envoy_.DisputeExclusions(type);
}

// True if the Envoy has just what the snapshot has of the type, and asks for no more.
bool Stream::ResumesWithAll(ResourceType type, const Request& request) const {
  const SubscribedNames& names = state_[type].names;
  const Table& table = envoy_.snapshot().table(type);
  if (type == ResourceType::kSecret || request.initial_versions.size() != table.size() ||
      table.empty() || !envoy_.snapshot().exclusions().empty())
    return false;
  // The assignments of clusters that aren't warm are sent again.
  if (type == ResourceType::kEndpoints && envoy_.warming().AwaitsAnyAssignment()) return false;
  Hash128 version;
  for (const auto& [name, text] : request.initial_versions) version += ParseVersion(text);
  if (version != table.version()) return false;
  if (names.wildcard()) return names.names().empty();
  if (names.names().size() != table.size() || names.notes_when_asked()) return false;
  const auto subset = envoy_.options().shared->Subset(table, names.names());
  if (subset != nullptr) envoy_.options().recent->Use(subset);
  return subset != nullptr;
}

// Notes what the Envoy has of each resource. Only the difference will be sent, except of a cluster
// that waits for its assignment.
void Stream::ResumeEach(ResourceType type, const Request& request) {
  TypeState& state = state_[type];
  state.names.names().ForEach([&](const NamePtr& name) { state.pending.Set(name, true); });
  const EditToken token = NewEditToken();
  for (const auto& [name, text] : request.initial_versions) {
    if (!state.names.Includes(name)) continue;
    state.sent.Resume(envoy_.Named(type, name, ParseVersion(text)), token);
    if (!state.names.Contains(name)) continue;
    envoy_.SpellOutFirstClusters();
    state.pending.SetForce(name, type == ResourceType::kEndpoints && envoy_.identity().aggregated &&
                                     envoy_.warming().AwaitsAssignment(name));
    // A stream from before isn't that of a cluster sent since (see warming.h).
    state.names.SetAskedBefore(name);
  }
}

}  // namespace contour::xds
