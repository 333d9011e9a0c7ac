// SPDX-License-Identifier: Apache-2.0

#include "xds/snapshot/shared_tables.h"

#include <algorithm>

namespace contour::xds {
namespace {

// True if the resource and its parts name only these clusters.
bool NamesOnly(const Table& clusters, const Resource& resource) {
  const auto has = [&](const std::vector<std::string>& names) {
    return std::all_of(names.begin(), names.end(),
                       [&](const std::string& name) { return clusters.Contains(name); });
  };
  bool all = has(resource.clusters);
  resource.parts.ForEach([&](const PartPtr& part) { all = all && has(part->clusters); });
  return all;
}

SharedTables::List ListOf(std::vector<ResourcePtr> resources) {
  return std::make_shared<const std::vector<ResourcePtr>>(std::move(resources));
}

}  // namespace

void Recent::Use(const std::shared_ptr<const void>& value) {
  if (std::find(used_.begin(), used_.end(), value) != used_.end()) return;
  std::erase(before_, value);
  if (used_.size() == kMost) used_.erase(used_.begin());
  used_.push_back(value);
}

void Recent::Age() {
  before_ = std::move(used_);
  used_ = {};
}

bool WarmsByAssignmentAlone(const Resource& cluster) {
  return cluster.warm_by == WarmBy::kAssignment && !cluster.assignment.empty();
}

SharedTables::List SharedTables::Sorted(const Table& table) {
  return lists_.Get({Kind::kSorted, table.version(), {}}, [&] { return ListOf(table.Sorted()); });
}

SharedTables::List SharedTables::WarmOtherwise(const Table& clusters) {
  return lists_.Get({Kind::kWarmOtherwise, clusters.version(), {}}, [&] {
    std::vector<ResourcePtr> list;
    clusters.ForEach([&](const ResourcePtr& cluster) {
      if (!WarmsByAssignmentAlone(*cluster)) list.push_back(cluster);
    });
    return ListOf(std::move(list));
  });
}

SharedTables::List SharedTables::WithoutEndpoints(const Table& clusters, const Table& assignments) {
  return lists_.Get({Kind::kWithoutEndpoints, clusters.version(), assignments.version()}, [&] {
    std::vector<ResourcePtr> list;
    clusters.ForEach([&](const ResourcePtr& cluster) {
      if (!WarmsByAssignmentAlone(*cluster)) return;
      const ResourcePtr assignment = assignments.Find(cluster->assignment);
      if (assignment == nullptr || assignment->without_endpoints) list.push_back(cluster);
    });
    return ListOf(std::move(list));
  });
}

std::shared_ptr<const bool> SharedTables::HasAllClusters(const Table& clusters,
                                                         const Resource& resource) {
  return complete_.Get({clusters.version(), resource.version},
                       [&] { return std::make_shared<const bool>(NamesOnly(clusters, resource)); });
}

std::shared_ptr<const bool> SharedTables::HasAllClusters(const Table& clusters,
                                                         const Table& resources) {
  return complete_.Get({clusters.version(), resources.version()}, [&] {
    bool all = true;
    resources.ForEach(
        [&](const ResourcePtr& resource) { all = all && NamesOnly(clusters, *resource); });
    return std::make_shared<const bool>(all);
  });
}

std::shared_ptr<const Table> SharedTables::Subset(const Table& table, const NameSet& names) {
  return subsets_.Get({table.version(), names.version()}, [&]() -> std::shared_ptr<const Table> {
    auto subset = std::make_shared<Table>();
    bool complete = true;
    const EditToken token = NewEditToken();
    names.ForEach([&](const NamePtr& name) {
      ResourcePtr resource = complete ? table.Find(*name) : nullptr;
      complete = complete && resource != nullptr;
      if (complete) subset->Set(std::move(resource), token);
    });
    if (!complete) return nullptr;
    if (subset->size() == table.size()) *subset = table;
    return subset;
  });
}

}  // namespace contour::xds
