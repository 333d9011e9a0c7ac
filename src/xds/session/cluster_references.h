// SPDX-License-Identifier: Apache-2.0
// Knows what the resources that one Envoy has refer to, other than the snapshot's do: clusters, and
// the assignments from which clusters take their endpoints. These are not withdrawn.
//
//   ClusterReferences references(examined);
//   const auto ended = references.NoteSent(ResourceType::kRoutes, name, stream, sent, snapshot);
//   for (const std::string& cluster : ended.names) …   // nothing of the Envoy names it any more
//
// Content that is the snapshot's own has no references beyond those of the snapshot, and isn't
// noted.
//
// Cost: that of the one resource, never of all. Thread: as a value.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "xds/session/previous_state.h"
#include "xds/session/reference_counts.h"
#include "xds/session/sent_state.h"
#include "xds/snapshot/resource.h"
#include "xds/snapshot/snapshot.h"

namespace contour::xds {

class ClusterReferences {
 public:
  using References = ReferenceCounts::References;
  using Ended = ReferenceCounts::Ended;

  // Counts the entries that it looks at in `examined`.
  explicit ClusterReferences(std::uint64_t& examined) : examined_(examined) {}

  // True if something that the Envoy runs, or may run, names the cluster, or may name it.
  bool NameCluster(std::string_view cluster) const { return clusters_.Contains(cluster); }
  // True if a cluster that the Envoy has, or may have, takes its endpoints from the assignment.
  bool NameAssignment(std::string_view assignment) const {
    return assignments_.Contains(assignment);
  }
  // Returns the streams of which the resource names a cluster; 0: one that ended.
  std::vector<std::uint64_t> StreamsOf(ResourceType type, const std::string& name) const {
    return clusters_.StreamsOf(type, name);
  }

  // Notes which clusters are named by what the Envoy runs, or may run, under this name. Returns the
  // clusters that nothing names any more.
  Ended NoteSent(ResourceType type, const std::string& name, std::uint64_t stream,
                 const SentState& sent, const Snapshot& snapshot);
  // Does so for streams that ended.
  Ended NoteLingering(ResourceType type, const std::string& name, const LingeringStreams& lingering,
                      const Snapshot& snapshot);
  // The stream ends.
  Ended Forget(ResourceType type, const std::string& name, std::uint64_t stream) {
    return clusters_.Set({type, name, stream}, {});
  }

  // Notes from which assignments the Envoy's cluster takes its endpoints, or may take them, other
  // than the snapshot's cluster of this name: the older content serves until another one is acked
  // and warm. `replaced`: those of the contents that still serve in its place; nullptr: there are
  // none. Returns the assignments from which no cluster takes its endpoints any more.
  Ended NoteCluster(const std::string& cluster, std::uint64_t stream, const SentState& sent,
                    const Snapshot& snapshot, const References* replaced);
  // The stream ends.
  Ended ForgetCluster(const std::string& cluster, std::uint64_t stream) {
    return assignments_.Set({ResourceType::kCluster, cluster, stream}, {});
  }

 private:
  void Collect(ResourceType type, const Resource& content, const Snapshot& snapshot,
               References& references) const;

  std::uint64_t& examined_;
  ReferenceCounts clusters_;
  ReferenceCounts assignments_;
};

}  // namespace contour::xds
