// SPDX-License-Identifier: Apache-2.0
// Finds the resources that are held back: by a cluster that they wait for, and by the time at which
// they are released without it.
//
//   HoldIndex index;
//   index.Set({stream, ResourceType::kRoutes, "ingress_http"}, {}, {&hold.waiting_for, time});
//   for (const auto& key : index.WaitingFor("default/kuard")) …   // the cluster is warm
//   for (const auto& key : index.TakeDue(now)) …
//
// Thread: as a value.

#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "xds/snapshot/resource.h"

namespace contour::xds {

class HoldIndex {
 public:
  using Time = std::chrono::steady_clock::time_point;
  struct Key {
    std::uint64_t stream = 0;
    ResourceType type = ResourceType::kCluster;
    std::string name;
    auto operator<=>(const Key&) const = default;
  };

  // Describes what a resource waits for, and until when at most.
  struct Wait {
    const StringSet* clusters = nullptr;  // nullptr: it isn't held
    std::optional<Time> due = std::nullopt;
  };
  void Set(const Key& key, const Wait& before, const Wait& now);

  // Returns a copy, since the caller usually changes the index for each of them.
  std::vector<Key> WaitingFor(const std::string& cluster) const;
  // Returns the resources whose time is over, each once until it is set again.
  std::vector<Key> TakeDue(Time now);
  std::optional<Time> NextDue() const;

 private:
  StringMap<std::set<Key>> by_cluster_;
  std::set<std::pair<Time, Key>> due_;
};

}  // namespace contour::xds
