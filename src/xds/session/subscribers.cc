// SPDX-License-Identifier: Apache-2.0

#include "xds/session/subscribers.h"

namespace contour::xds {

void Subscribers::AddName(ResourceType type, const std::string& name, StreamState& stream) {
  if (!aggregated_) by_name_[Index(type)][name].insert(&stream);
}

void Subscribers::RemoveName(ResourceType type, const std::string& name, StreamState& stream) {
  if (aggregated_) return;
  auto& by_name = by_name_[Index(type)];
  const auto at = by_name.find(name);
  if (at == by_name.end()) return;
  at->second.erase(&stream);
  if (at->second.empty()) by_name.erase(at);
}

void Subscribers::SetWildcard(ResourceType type, bool wildcard, StreamState& stream) {
  if (aggregated_) return;
  if (wildcard) {
    wildcards_[Index(type)].insert(&stream);
  } else {
    wildcards_[Index(type)].erase(&stream);
  }
}

void Subscribers::Remove(ResourceType type, StreamState& stream) {
  started_[Index(type)].erase(&stream);
  if (aggregated_) return;
  wildcards_[Index(type)].erase(&stream);
  stream[type].names.names().ForEach([&](const NamePtr& name) { RemoveName(type, *name, stream); });
}

}  // namespace contour::xds
