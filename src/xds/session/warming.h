// SPDX-License-Identifier: Apache-2.0
// Knows which clusters of one Envoy aren't warm yet. A cluster is warm when the Envoy can use it:
// see WarmBy in resource.h for what shows that.
//
//   Warming warming(options, examined);
//   if (warming.ClusterSent(cluster, before, sequence)) …   // send its assignment again
//   Warming::Changes changes = warming.ClusterAcked("kuard", sequence, now);
//   for (const NamePtr& cluster : changes.warm) …           // send what waited for it
//
// In ADS order follows from the order of responses. Streams per type race with each other: there a
// cluster is warm when it is acked *and* its assignment, asked for after the cluster was sent, is.
// Each cluster asks for its assignment on an EDS stream of its own, which doesn't say for which
// cluster. So all clusters that share an assignment are warm when as many streams that asked since
// have acked it.
//
// `sequence` is the number of a response; the responses of all streams of a session are counted
// together.
//
// Thread: as a value.

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "xds/session/reference_counts.h"
#include "xds/snapshot/name_map.h"
#include "xds/snapshot/resource.h"
#include "xds/snapshot/shared_tables.h"
#include "xds/snapshot/snapshot.h"

namespace contour::xds {

class Warming {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using References = ReferenceCounts::References;

  struct Options {
    bool aggregated = true;
    // How long a new cluster without endpoints isn't taken for warm.
    std::chrono::milliseconds empty_wait{0};
    std::shared_ptr<SharedTables> shared;  // not null
    std::shared_ptr<Recent> recent;        // not null
  };

  // Lists what is different since a call.
  struct Changes {
    std::vector<NamePtr> warm;  // clusters that became warm
    bool others = false;        // further clusters became warm, which aren't listed
    // The Envoy has none of the clusters any more that it had in a state that we don't know.
    bool recognised = false;
  };

  // Counts the entries that it looks at in `examined`.
  Warming(Options options, std::uint64_t& examined)
      : options_(std::move(options)), examined_(examined) {}

  // True if the cluster was sent and isn't known to be warm.
  bool Contains(std::string_view cluster) const;
  bool empty() const { return clusters_.empty() && !first_.has_value(); }
  // True if a cluster waits for this assignment. REQUIRES: SpellOut() was called.
  bool AwaitsAssignment(std::string_view assignment) const {
    return by_assignment_.contains(assignment);
  }
  bool AwaitsAnyAssignment() const { return !by_assignment_.empty() || first_.has_value(); }
  // Returns the assignments of the contents in whose place the cluster was sent: they serve until
  // it is warm. nullptr: there are none.
  const References* ReplacedAssignments(const std::string& cluster) const;
  // Calls f(std::string_view) for the name of each cluster that isn't warm.
  template <typename Function>
  void ForEach(Function&& f) const {
    for (const auto& [name, cluster] : clusters_) f(*name);
    if (!first_.has_value()) return;
    first_->table.ForEach([&](const ResourcePtr& cluster) {
      if (WarmsByAssignmentAlone(*cluster)) f(cluster->name);
    });
  }

  // The Envoy named a state of clusters that we don't know, and may still run some of it.
  void SetUnrecognised() { unrecognised_ = true; }
  bool unrecognised() const { return unrecognised_; }
  // True if a response with clusters was acked.
  bool acked_any() const { return acked_any_; }

  // The clusters are the first ones that the Envoy was sent. REQUIRES: empty(), and no assignment
  // is subscribed.
  void FirstClustersSent(const Table& clusters, std::uint64_t sequence);
  Changes FirstClustersAcked(std::uint64_t sequence, Time now);
  // All of these assignments were acked at once. REQUIRES: the session is aggregated.
  Changes FirstAssignmentsAcked(const Table& assignments, std::uint64_t sequence, Time now);
  // Notes the first clusters one by one, since something happens to some of them.
  void SpellOut();

  // `before`: the content that was sent before; nullptr: none. Returns true if the assignment has
  // to be sent again: an Envoy doesn't ask for it again, but waits for it.
  bool ClusterSent(const ResourcePtr& cluster, const ResourcePtr& before, std::uint64_t sequence);
  void ClusterWithdrawn(const std::string& name, std::uint64_t sequence);
  Changes ClusterAcked(const std::string& name, std::uint64_t sequence, Time now);
  // A response with clusters was acked, and its clusters by ClusterAcked().
  Changes ResponseAcked(std::uint64_t sequence, Time now);
  // `stream`: the stream that acked it. `asked`: when that stream asked for which assignment, of
  // streams per type only.
  Changes AssignmentAcked(const Resource& assignment, std::uint64_t stream,
                          const StringMap<std::uint64_t>& asked, std::uint64_t sequence, Time now);
  // The stream, which asked for the assignment, has ended.
  void StreamEnded(const std::string& assignment, std::uint64_t stream);

  // Returns the clusters whose own time-out is over.
  Changes TakeTimedOut(Time now);
  std::optional<Time> NextDeadline() const;

 private:
  // A cluster that was sent and isn't known to be warm.
  struct WarmingCluster {
    std::uint64_t pushed = 0;  // sequence of the response that brought its content
    ResourcePtr content;
    bool acked = false;
    bool assigned = false;
    bool empty = false;  // its assignment, as acked last
    // By its own time-out, or by that of an empty assignment.
    std::optional<Time> warm_at;
    References replaced;
  };
  // The clusters that an Envoy was sent as the first ones. Each that warms by its assignment alone
  // is warming, without an entry in `clusters_`, as long as nothing happens to one of them.
  struct FirstClusters {
    Table table;
    std::uint64_t pushed = 0;
    bool acked = false;
  };

  WarmingCluster& Add(const ResourcePtr& content, std::uint64_t sequence, bool acked);
  void Forget(const std::string& cluster);
  void NoteStaleRequest(const std::string& cluster, std::uint64_t sequence);
  void NoteAcked(const std::string& name, std::uint64_t sequence, Time now, Changes& changes);
  void NoteAssignmentAcked(const Resource& assignment, std::uint64_t sequence, Time now,
                           Changes& changes);
  std::vector<NamePtr> WaitingFor(const Resource& assignment, std::uint64_t sequence);
  void SettleSharers(const std::string& assignment, Time now, Changes& changes);
  std::vector<NamePtr> ServedSharers(const std::string& assignment);
  void Settle(const std::string& cluster, Time now, Changes& changes);
  bool IsWarm(const std::string& name, WarmingCluster& cluster, Time now);
  void NoteRecognised(Changes& changes);

  const Options options_;
  std::uint64_t& examined_;
  NameMap<WarmingCluster> clusters_;
  std::optional<FirstClusters> first_;
  NameMap<std::set<NamePtr, NameLess>> by_assignment_;
  bool acked_any_ = false;
  bool unrecognised_ = false;
  std::multimap<Time, std::string> timers_;  // clusters by their own time-out
  // Streams per type: the streams that asked for the assignment of a cluster and acked it, by
  // cluster.
  NameMap<std::set<std::uint64_t>> answered_;
  // Streams per type: assignments of clusters that were withdrawn or replaced by the response of
  // the sequence before they were warm. Until that response is acked, their EDS requests may come
  // and be taken for another cluster's.
  std::deque<std::pair<std::uint64_t, std::string>> stale_eds_requests_;  // by sequence
  StringMap<std::size_t> stale_eds_requests_of_;                          // how many, by assignment
};

}  // namespace contour::xds
