// SPDX-License-Identifier: Apache-2.0

#include "xds/session/stream.h"

#include <algorithm>

#include "base/status.h"
#include "base/strings.h"
#include "xds/session/envoy_state.h"
#include "xds/session/type_rules.h"

namespace contour::xds {

ResourcePtr Stream::Wanted(ResourceType type, const std::string& name) const {
  return envoy_.Wanted(state_, type, name);
}

// The wildcard ends: what came by it only, the Envoy drops by itself.
void Stream::KeepOnlyNames(ResourceType type) {
  TypeState& state = state_[type];
  envoy_.SetWildcard(state_, type, false);
  state.pending.DropEverything();
  std::vector<std::string> gone;
  state.sent.table().ForEach([&](const ResourcePtr& sent) {
    if (!state.names.Contains(sent->name)) gone.push_back(sent->name);
  });
  for (const std::string& name : gone) envoy_.Forget(state_, type, name);
}

absl::Status Stream::OnRequest(const Request& request, Time now) {
  const TypeInfo* info = FindType(request.type_url);
  if (info == nullptr) return OnUnknownType(request);
  envoy_.Begin(now);
  envoy_.Refresh();
  TypeState& state = state_[info->type];
  const Hash128 names = state.names.names().version();
  if (delta()) {
    OnDelta(info->type, request, now);
  } else {
    OnStateOfTheWorld(info->type, request, now);
  }
  if (state.names.names().version() != names) state.names.Share(*envoy_.options().shared);
  state.pending.Resume();
  envoy_.NoteListenersInSync();
  envoy_.MarkReady(state_, info->type);
  return absl::OkStatus();
}

// ---- Types that aren't served ----

absl::Status Stream::OnUnknownType(const Request& request) {
  const std::string& url = request.type_url;
  const bool known = unknown_types_.contains(url);
  if (url.empty() || !envoy_.identity().aggregated ||
      (!known && unknown_types_.size() >= kUnknownTypes))
    return InvalidArgument("no resource registered for typeURL {}", Quote(url));
  if (!known) {
    unknown_types_.insert(url);
    if (envoy_.options().on_unknown_type) envoy_.options().on_unknown_type(url);
  } else if (!delta() || request.subscribe.empty()) {
    return absl::OkStatus();  // an acknowledgement, or other names that don't exist either
  }
  unknown_asked_.emplace_back(url, request.subscribe);
  envoy_.MarkReady(state_, kResourceTypes);
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
  response.protocol = state_.protocol();
  response.unknown_type_url = std::move(url);
  response.nonce = std::to_string(++nonces_);
  response.removed = std::move(names);
  return response;
}

}  // namespace contour::xds
