// SPDX-License-Identifier: Apache-2.0
// Names that belong to something else, and maps by such names.
//
//   NamePtr name = NameOf(resource);      // no copy; keeps the resource
//   NameMap<int> counts;
//   ++counts[name];
//   counts.find(std::string_view("b"));   // found by its text
//
// A session has a name in several tables while a response is under way, for each of its resources.
//
// Thread: as a value.

#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "xds/snapshot/resource.h"

namespace contour::xds {

using NamePtr = std::shared_ptr<const std::string>;

// The resource isn't null.
inline NamePtr NameOf(const ResourcePtr& resource) { return {resource, &resource->name}; }
// The name of the assignment of a cluster that isn't null.
inline NamePtr AssignmentOf(const ResourcePtr& cluster) { return {cluster, &cluster->assignment}; }
inline NamePtr MakeName(std::string_view text) { return std::make_shared<const std::string>(text); }

// Hash and equality by the text, for a NamePtr as well.
struct NameHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
  std::size_t operator()(const NamePtr& name) const { return operator()(std::string_view(*name)); }
};
struct NameEqual {
  using is_transparent = void;
  static std::string_view Text(std::string_view text) { return text; }
  static std::string_view Text(const NamePtr& name) { return *name; }
  template <typename A, typename B>
  bool operator()(const A& a, const B& b) const {
    return Text(a) == Text(b);
  }
};
struct NameLess {
  using is_transparent = void;
  template <typename A, typename B>
  bool operator()(const A& a, const B& b) const {
    return NameEqual::Text(a) < NameEqual::Text(b);
  }
};
template <typename Value>
using NameMap = std::unordered_map<NamePtr, Value, NameHash, NameEqual>;

template <typename Map>
void EraseName(Map& map, std::string_view name) {
  if (const auto at = map.find(name); at != map.end()) map.erase(at);
}

// Frees the buckets of a container that has become empty: after a big response they would stay for
// as long as the Envoy is connected.
template <typename Map>
void FreeIfEmpty(Map& map) {
  constexpr std::size_t kFewBuckets = 64;
  if (map.empty() && map.bucket_count() > kFewBuckets) map = Map();
}

}  // namespace contour::xds
