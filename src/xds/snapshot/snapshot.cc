// SPDX-License-Identifier: Apache-2.0

#include "xds/snapshot/snapshot.h"

#include <algorithm>
#include <utility>

namespace contour::xds {
namespace {

// Sorts them: comparisons of the clusters of two parts rely on their order.
void SortClusters(std::vector<std::string>& clusters) {
  if (!std::is_sorted(clusters.begin(), clusters.end()))
    std::sort(clusters.begin(), clusters.end());
}

}  // namespace

std::size_t Snapshot::CountOf(const Counts& counts, std::string_view name) {
  const auto found = counts.Find(name);
  return found == nullptr ? 0 : found->count;
}

void Snapshot::Add(Counts& counts, const std::string& name, std::ptrdiff_t difference,
                   EditToken token) {
  const std::size_t count = CountOf(counts, name) + static_cast<std::size_t>(difference);
  if (count == 0) {
    counts.Remove(name, token);
  } else {
    counts.Set(std::make_shared<Count>(Count{name, count, {0, count}}), token);
  }
}

std::size_t Snapshot::ClustersWithAssignment(std::string_view assignment) const {
  return CountOf(assignment_users_, assignment);
}

std::size_t Snapshot::UsersOfCluster(std::string_view cluster) const {
  return CountOf(cluster_users_, cluster);
}

Hash128 Snapshot::Version() const {
  Hash128 version;
  for (const TypeInfo& info : kTypes) {
    // The type takes part, so that content can't move from one to another unseen.
    const Hash128& sum = table(info.type).version();
    version += HashPair(info.url, sum.Hex());
  }
  return version;
}

const std::vector<Exclusion>& Snapshot::ExclusionsOf(ResourceType type,
                                                     const std::string& name) const {
  static const std::vector<Exclusion> none;
  if (exclusions_->empty()) return none;
  const auto at = exclusions_->find({type, name});
  return at == exclusions_->end() ? none : at->second;
}

bool Snapshot::Lacks(ResourceType type, const std::string& name) const {
  const std::vector<Exclusion>& exclusions = ExclusionsOf(type, name);
  return std::any_of(exclusions.begin(), exclusions.end(), [&](const Exclusion& exclusion) {
    return !exclusion.key.part.has_value() && !exclusion.replaced;
  });
}

SnapshotDifference::SnapshotDifference(const Snapshot& before, const Snapshot& after) {
  for (const TypeInfo& info : kTypes) {
    Table::Diff(before.table(info.type), after.table(info.type),
                [&](const ResourcePtr& was, const ResourcePtr& is) {
                  changes[Index(info.type)].emplace_back(was, is);
                });
  }
  Snapshot::Counts::Diff(before.cluster_users_, after.cluster_users_,
                         [&](const auto& was, const auto& is) {
                           if (is == nullptr) unused_clusters.push_back(was->name);
                         });
}

std::shared_ptr<const SnapshotDifference> DifferenceCache::Get(const SnapshotPtr& before,
                                                               const SnapshotPtr& after) {
  if (before_.lock() == before && after_.lock() == after) {
    if (auto known = difference_.lock(); known != nullptr) return known;
  }
  auto difference = std::make_shared<const SnapshotDifference>(*before, *after);
  before_ = before;
  after_ = after;
  difference_ = difference;
  return difference;
}

SnapshotEditor::SnapshotEditor(SnapshotPtr base)
    : base_(base == nullptr ? std::make_shared<const Snapshot>() : std::move(base)),
      next_(*base_),
      token_(NewEditToken()) {}

void SnapshotEditor::CountUsers(const std::vector<std::string>& clusters,
                                std::ptrdiff_t difference) {
  for (const std::string& cluster : clusters)
    Snapshot::Add(next_.cluster_users_, cluster, difference, token_);
}

void SnapshotEditor::CountAll(ResourceType type, const Resource& resource,
                              std::ptrdiff_t difference) {
  if (type == ResourceType::kCluster && !resource.assignment.empty()) {
    Snapshot::Add(next_.assignment_users_, resource.assignment, difference, token_);
  }
  CountUsers(resource.clusters, difference);
  resource.parts.ForEach([&](const PartPtr& part) { CountUsers(part->clusters, difference); });
}

// Adds or replaces without looking at users.
void SnapshotEditor::Put(ResourceType type, Resource resource) {
  resource.version = HashPair(resource.name, resource.bytes);
  resource.version += resource.parts.version();
  next_.tables_[Index(type)].Set(std::make_shared<const Resource>(std::move(resource)), token_);
}

Resource SnapshotEditor::Copy(ResourceType type, std::string_view name) const {
  const ResourcePtr found = next_.Find(type, name);
  return found == nullptr ? *MakeBlank(name) : *found;
}

void SnapshotEditor::Set(ResourceType type, Resource resource) {
  Parts parts;
  resource.parts.ForEach([&](const PartPtr& part) {
    auto versioned = std::make_shared<Part>(*part);
    versioned->version = HashPair(part->name, part->bytes);
    SortClusters(versioned->clusters);
    parts.Set(std::move(versioned), token_);
  });
  resource.parts = std::move(parts);
  Hash128 version = HashPair(resource.name, resource.bytes);
  version += resource.parts.version();
  if (const ResourcePtr before = next_.Find(type, resource.name); before != nullptr) {
    if (before->version == version) return;
    CountAll(type, *before, -1);
  }
  SortClusters(resource.clusters);
  CountAll(type, resource, 1);
  Put(type, std::move(resource));
}

void SnapshotEditor::Remove(ResourceType type, std::string_view name) {
  const ResourcePtr before = next_.Find(type, name);
  if (before == nullptr) return;
  CountAll(type, *before, -1);
  next_.tables_[Index(type)].Remove(name, token_);
}

void SnapshotEditor::SetHead(ResourceType type, std::string_view name, std::string bytes,
                             std::vector<std::string> clusters) {
  const ResourcePtr before = next_.Find(type, name);
  if (before != nullptr && before->bytes == bytes) return;
  Resource resource = Copy(type, name);
  SortClusters(clusters);
  CountUsers(resource.clusters, -1);
  CountUsers(clusters, 1);
  resource.bytes = std::move(bytes);
  resource.clusters = std::move(clusters);
  Put(type, std::move(resource));
}

void SnapshotEditor::SetPart(ResourceType type, std::string_view resource_name, Part part) {
  part.version = HashPair(part.name, part.bytes);
  const ResourcePtr before = next_.Find(type, resource_name);
  const PartPtr part_before = before == nullptr ? nullptr : before->parts.Find(part.name);
  if (part_before != nullptr && part_before->version == part.version) return;
  Resource resource = Copy(type, resource_name);
  SortClusters(part.clusters);
  if (part_before != nullptr) CountUsers(part_before->clusters, -1);
  CountUsers(part.clusters, 1);
  resource.parts.Set(std::make_shared<const Part>(std::move(part)), token_);
  Put(type, std::move(resource));
}

void SnapshotEditor::RemovePart(ResourceType type, std::string_view resource_name,
                                std::string_view part) {
  const ResourcePtr before = next_.Find(type, resource_name);
  if (before == nullptr) return;
  const PartPtr part_before = before->parts.Find(part);
  if (part_before == nullptr) return;
  Resource resource = *before;
  CountUsers(part_before->clusters, -1);
  resource.parts.Remove(part, token_);
  Put(type, std::move(resource));
}

void SnapshotEditor::SetExclusions(Exclusions exclusions) {
  next_.exclusions_ = std::make_shared<const Exclusions>(std::move(exclusions));
}

SnapshotPtr SnapshotEditor::Commit() {
  bool equal = next_.exclusions_ == base_->exclusions_;
  for (const TypeInfo& info : kTypes) {
    const Table& before = base_->table(info.type);
    const Table& after = next_.table(info.type);
    equal = equal && before.version() == after.version() && before.size() == after.size();
  }
  token_ = NewEditToken();  // from here on others may read the nodes of this edit
  if (equal) {
    next_ = *base_;
  } else {
    base_ = std::make_shared<const Snapshot>(next_);
  }
  return base_;
}

SnapshotPtr ShareContent(const Snapshot& past, const SnapshotPtr& live) {
  SnapshotEditor editor(live);
  for (const TypeInfo& info : kTypes) {
    const ResourceType type = info.type;
    Table::Diff(live->table(type), past.table(type),
                [&](const ResourcePtr& has, const ResourcePtr& had) {
                  if (had == nullptr) {
                    editor.Remove(type, has->name);
                  } else if (has == nullptr || has->parts.empty() || had->parts.empty()) {
                    editor.Set(type, *had);
                  } else {
                    editor.SetHead(type, had->name, had->bytes, had->clusters);
                    Parts::Diff(has->parts, had->parts, [&](const PartPtr& is, const PartPtr& was) {
                      if (was == nullptr) {
                        editor.RemovePart(type, had->name, is->name);
                      } else {
                        editor.SetPart(type, had->name, *was);
                      }
                    });
                  }
                });
  }
  return editor.Commit();
}

}  // namespace contour::xds
