// SPDX-License-Identifier: Apache-2.0

#include "xds/session/hold_index.h"

namespace contour::xds {

void HoldIndex::Set(const Key& key, const Wait& before, const Wait& now) {
  if (before.clusters != nullptr) {
    for (const std::string& cluster : *before.clusters) {
      if (now.clusters != nullptr && now.clusters->contains(cluster)) continue;
      const auto at = by_cluster_.find(cluster);
      if (at == by_cluster_.end()) continue;
      at->second.erase(key);
      if (at->second.empty()) by_cluster_.erase(at);
    }
  }
  if (now.clusters != nullptr) {
    for (const std::string& cluster : *now.clusters) {
      if (before.clusters == nullptr || !before.clusters->contains(cluster))
        by_cluster_[cluster].insert(key);
    }
  }
  if (before.due.has_value() && before.due != now.due) due_.erase({*before.due, key});
  if (now.due.has_value()) due_.emplace(*now.due, key);
}

std::vector<HoldIndex::Key> HoldIndex::WaitingFor(const std::string& cluster) const {
  const auto at = by_cluster_.find(cluster);
  if (at == by_cluster_.end()) return {};
  return {at->second.begin(), at->second.end()};
}

std::vector<HoldIndex::Key> HoldIndex::TakeDue(Time now) {
  std::vector<Key> keys;
  while (!due_.empty() && due_.begin()->first <= now) {
    keys.push_back(due_.begin()->second);
    due_.erase(due_.begin());
  }
  return keys;
}

std::optional<HoldIndex::Time> HoldIndex::NextDue() const {
  if (due_.empty()) return std::nullopt;
  return due_.begin()->first;
}

}  // namespace contour::xds
