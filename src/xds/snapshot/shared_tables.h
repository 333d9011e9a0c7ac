// SPDX-License-Identifier: Apache-2.0
// Keeps once what the sessions of many Envoys have alike: the names that they subscribe to, what
// they were sent, and what follows from a whole table when an Envoy is sent all of it at once.
//
//   auto shared = std::make_shared<SharedTables>();
//   shared->Share(names);                                    // another session's copy, if it has one
//   SharedTables::List list = shared->Sorted(snapshot->table(ResourceType::kCluster));
//
// A list is kept as long as somebody holds it, a session or a Recent. All resources of the tables
// must be known.
//
// Thread: any.

#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "xds/snapshot/map_pool.h"
#include "xds/snapshot/name_set.h"
#include "xds/snapshot/resource.h"
#include "xds/snapshot/snapshot.h"
#include "xds/snapshot/weak_cache.h"

namespace contour::xds {

// Holds what was used last, so that the next Envoy finds it. Thread: as a value.
class Recent {
 public:
  // If there are more, the oldest are let go.
  static constexpr std::size_t kMost = 32;

  void Use(const std::shared_ptr<const void>& value);
  // Lets go of what wasn't used since the last call.
  void Age();
  bool empty() const { return used_.empty() && before_.empty(); }

 private:
  std::vector<std::shared_ptr<const void>> used_;    // since the last call of Age
  std::vector<std::shared_ptr<const void>> before_;  // between the two calls before
};

// True if the cluster is warm as soon as its assignment, which isn't empty, is acked.
bool WarmsByAssignmentAlone(const Resource& cluster);

class SharedTables {
 public:
  using List = std::shared_ptr<const std::vector<ResourcePtr>>;

  NameSet MakeNames(const std::vector<std::string>& names) const {
    return NameSet::Make(names, names_);
  }
  void Share(NameSet& names) { names.Share(names_); }
  void Share(Table& table) { tables_.Share(table); }

  // Returns the resources in the order of their names.
  List Sorted(const Table& table);
  // Returns the clusters that don't warm by their assignment alone.
  List WarmOtherwise(const Table& clusters);
  // Returns the clusters that would warm by their assignment alone, but whose assignment isn't in
  // `assignments`, or is empty.
  List WithoutEndpoints(const Table& clusters, const Table& assignments);
  // Tells whether `clusters` has every cluster that the resource or a part of it names, or that any
  // of the resources does.
  std::shared_ptr<const bool> HasAllClusters(const Table& clusters, const Resource& resource);
  std::shared_ptr<const bool> HasAllClusters(const Table& clusters, const Table& resources);
  // Returns the resources of these names; nullptr: the table lacks one of them.
  std::shared_ptr<const Table> Subset(const Table& table, const NameSet& names);

 private:
  enum class Kind { kSorted, kWarmOtherwise, kWithoutEndpoints };
  struct Key {
    Kind kind;
    Hash128 table;
    Hash128 other;

    auto operator<=>(const Key&) const = default;
  };

  using Versions = std::pair<Hash128, Hash128>;

  NameSet::Pool names_;
  MapPool<Resource> tables_;
  SharedCache<Key, std::vector<ResourcePtr>> lists_;
  SharedCache<Versions, Table> subsets_;
  SharedCache<Versions, bool> complete_;
};

}  // namespace contour::xds
