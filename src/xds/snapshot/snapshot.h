// SPDX-License-Identifier: Apache-2.0
// All resources at one moment, immutable and shared: what the core thread publishes and every
// stream reads.
//
//   SnapshotEditor editor(current);                       // nullptr: from nothing
//   editor.Set(ResourceType::kCluster, {.name = "a", .bytes = serialized});
//   editor.SetHead(ResourceType::kRoutes, "ingress_http", head_bytes);
//   editor.SetPart(ResourceType::kRoutes, "ingress_http",
//                  {.name = "kuard.example", .bytes = virtual_host});
//   SnapshotPtr next = editor.Commit();                   // == current if the content is equal
//
// Cost: an edit follows what it changes, not what there is; so does the difference of two snapshots
// (PersistentMap::Diff of their tables). Equal content gives equal versions in every process,
// whatever the history.
//
// Thread: a Snapshot is immutable, any thread. An editor belongs to one thread.

#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "xds/snapshot/persistent_map.h"
#include "xds/snapshot/resource.h"

namespace contour::xds {

using Table = PersistentMap<Resource>;

// A content that isn't in the snapshot, or was replaced, because Envoys rejected it.
struct Exclusion {
  ResourceKey key;
  Hash128 version;
  bool replaced = false;
  ResourcePtr published;  // the resource with the content in it; not null
};
// By type and name of the resource.
using Exclusions = std::map<std::pair<ResourceType, std::string>, std::vector<Exclusion>>;

class Snapshot {
 public:
  const Table& table(ResourceType type) const { return tables_[Index(type)]; }
  ResourcePtr Find(ResourceType type, std::string_view name) const {
    return table(type).Find(name);
  }

  // How many clusters take their endpoints from this assignment.
  std::size_t ClustersWithAssignment(std::string_view assignment) const;
  // How many resources and parts name this cluster among the clusters that they need.
  std::size_t UsersOfCluster(std::string_view cluster) const;

  Hash128 Version() const;  // of everything

  const Exclusions& exclusions() const { return *exclusions_; }
  // Returns the exclusions of one resource.
  const std::vector<Exclusion>& ExclusionsOf(ResourceType type, const std::string& name) const;
  // True if the resource is left out, and nothing is in its place.
  bool Lacks(ResourceType type, const std::string& name) const;

 private:
  friend class SnapshotEditor;
  friend struct SnapshotDifference;

  struct Count {
    std::string name;
    std::size_t count = 0;
    Hash128 version;  // of the count; no part of the snapshot's version
  };
  using Counts = PersistentMap<Count>;
  static std::size_t CountOf(const Counts& counts, std::string_view name);
  static void Add(Counts& counts, const std::string& name, std::ptrdiff_t difference,
                  EditToken token);

  std::array<Table, kResourceTypes> tables_;
  Counts assignment_users_;
  Counts cluster_users_;
  std::shared_ptr<const Exclusions> exclusions_ = std::make_shared<const Exclusions>();
};
using SnapshotPtr = std::shared_ptr<const Snapshot>;

// Lists what differs between two snapshots.
struct SnapshotDifference {
  SnapshotDifference(const Snapshot& before, const Snapshot& after);

  // By type: before and after; nullptr where absent.
  std::array<std::vector<std::pair<ResourcePtr, ResourcePtr>>, kResourceTypes> changes;
  // Clusters that resources or parts of `before` need and none of `after`.
  std::vector<std::string> unused_clusters;
};

// Returns a snapshot equal to `past` that shares with `live` what they have in common. Costs what
// differs.
SnapshotPtr ShareContent(const Snapshot& past, const SnapshotPtr& live);

// Gives many Envoys that go from one snapshot to the same next one the same difference. It is kept
// as long as one of them needs it. Thread: as a value.
class DifferenceCache {
 public:
  std::shared_ptr<const SnapshotDifference> Get(const SnapshotPtr& before,
                                                const SnapshotPtr& after);

 private:
  std::weak_ptr<const Snapshot> before_;
  std::weak_ptr<const Snapshot> after_;
  std::weak_ptr<const SnapshotDifference> difference_;
};

class SnapshotEditor {
 public:
  explicit SnapshotEditor(SnapshotPtr base);

  // Adds or replaces a whole resource, parts included; `resource.version` and those of parts are
  // computed here.
  void Set(ResourceType type, Resource resource);
  void Remove(ResourceType type, std::string_view name);  // nothing if it isn't there

  // Composite resources. A part may come before its head: until then the head is only the name.
  // Removing the last part leaves the head; Remove() removes all.
  void SetHead(ResourceType type, std::string_view name, std::string bytes,
               std::vector<std::string> clusters = {});
  void SetPart(ResourceType type, std::string_view resource, Part part);
  void RemovePart(ResourceType type, std::string_view resource, std::string_view part);

  ResourcePtr Find(ResourceType type, std::string_view name) const {
    return next_.Find(type, name);
  }

  void SetExclusions(Exclusions exclusions);

  // Returns the snapshot with the edits so far; the base itself if they change nothing. The editor
  // goes on from there. Never null.
  SnapshotPtr Commit();

 private:
  Resource Copy(ResourceType type, std::string_view name) const;
  void Put(ResourceType type, Resource resource);
  void CountUsers(const std::vector<std::string>& clusters, std::ptrdiff_t difference);
  void CountAll(ResourceType type, const Resource& resource, std::ptrdiff_t difference);

  SnapshotPtr base_;  // never null
  Snapshot next_;
  EditToken token_;
};

}  // namespace contour::xds
