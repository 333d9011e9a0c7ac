// SPDX-License-Identifier: Apache-2.0

#include "xds/session/warming.h"

#include <algorithm>
#include <utility>

namespace contour::xds {

bool Warming::Contains(std::string_view cluster) const {
  if (clusters_.contains(cluster)) return true;
  if (!first_.has_value()) return false;
  const ResourcePtr first = first_->table.Find(cluster);
  return first != nullptr && WarmsByAssignmentAlone(*first);
}

const Warming::References* Warming::ReplacedAssignments(const std::string& cluster) const {
  const auto at = clusters_.find(cluster);
  return at == clusters_.end() ? nullptr : &at->second.replaced;
}

Warming::WarmingCluster& Warming::Add(const ResourcePtr& content, std::uint64_t sequence,
                                      bool acked) {
  ++examined_;
  if (!content->assignment.empty()) by_assignment_[AssignmentOf(content)].insert(NameOf(content));
  WarmingCluster& cluster = clusters_[NameOf(content)];
  cluster.pushed = sequence;
  cluster.content = content;
  cluster.acked = acked;
  return cluster;
}

void Warming::Forget(const std::string& cluster) {
  const auto at = clusters_.find(cluster);
  if (at == clusters_.end()) return;
  EraseName(answered_, cluster);
  if (const auto users = by_assignment_.find(at->second.content->assignment);
      users != by_assignment_.end()) {
    users->second.erase(at->first);
    if (users->second.empty()) by_assignment_.erase(users);
  }
  clusters_.erase(at);
  FreeIfEmpty(clusters_);
  FreeIfEmpty(by_assignment_);
}

// ---- The first clusters ----

void Warming::FirstClustersSent(const Table& clusters, std::uint64_t sequence) {
  const SharedTables::List others = options_.shared->WarmOtherwise(clusters);
  for (const ResourcePtr& cluster : *others) Add(cluster, sequence, false);
  first_ = FirstClusters{clusters, sequence, false};
}

Warming::Changes Warming::FirstClustersAcked(std::uint64_t sequence, Time now) {
  Changes changes;
  if (first_.has_value()) first_->acked = true;
  std::vector<NamePtr> names;
  for (const auto& [name, cluster] : clusters_) names.push_back(name);
  for (const NamePtr& name : names) NoteAcked(*name, sequence, now, changes);
  return changes;
}

Warming::Changes Warming::FirstAssignmentsAcked(const Table& assignments, std::uint64_t sequence,
                                                Time now) {
  Changes changes;
  if (const std::optional<FirstClusters> first = std::exchange(first_, std::nullopt);
      first.has_value()) {
    const SharedTables::List others = options_.shared->WithoutEndpoints(first->table, assignments);
    options_.recent->Use(others);
    for (const ResourcePtr& cluster : *others) Add(cluster, first->pushed, first->acked);
    changes.others = true;
  }
  std::vector<ResourcePtr> awaited;
  for (const auto& [name, clusters] : by_assignment_) {
    if (ResourcePtr assignment = assignments.Find(*name); assignment != nullptr)
      awaited.push_back(std::move(assignment));
  }
  for (const ResourcePtr& assignment : awaited)
    NoteAssignmentAcked(*assignment, sequence, now, changes);
  NoteRecognised(changes);
  return changes;
}

void Warming::SpellOut() {
  if (!first_.has_value()) return;
  const FirstClusters first = *std::exchange(first_, std::nullopt);
  first.table.ForEach([&](const ResourcePtr& cluster) {
    if (WarmsByAssignmentAlone(*cluster)) Add(cluster, first.pushed, first.acked);
  });
}

// ---- Clusters sent and acked ----

bool Warming::ClusterSent(const ResourcePtr& cluster, const ResourcePtr& before,
                          std::uint64_t sequence) {
  SpellOut();
  References replaced;
  if (const auto at = clusters_.find(cluster->name); at != clusters_.end())
    replaced = std::move(at->second.replaced);
  if (before != nullptr) {
    replaced.unknown = replaced.unknown || !before->known;
    std::vector<std::string>& names = replaced.names;
    if (!before->assignment.empty() &&
        std::find(names.begin(), names.end(), before->assignment) == names.end())
      names.push_back(before->assignment);
  }
  NoteStaleRequest(cluster->name, sequence);
  Forget(cluster->name);
  Add(cluster, sequence, false).replaced = std::move(replaced);
  // In streams per type each cluster asks for its assignment itself, on a stream of its own: unless
  // it is one that the Envoy had before, as it may in a state that we don't know.
  return !cluster->assignment.empty() && (options_.aggregated || unrecognised_);
}

void Warming::ClusterWithdrawn(const std::string& name, std::uint64_t sequence) {
  SpellOut();
  NoteStaleRequest(name, sequence);
  Forget(name);
}

// The cluster is about to be replaced or withdrawn by the response `sequence`: its EDS request, if
// it is still to come, is stale.
void Warming::NoteStaleRequest(const std::string& cluster, std::uint64_t sequence) {
  const auto at = clusters_.find(cluster);
  if (options_.aggregated || at == clusters_.end() || at->second.assigned ||
      at->second.content->assignment.empty())
    return;
  stale_eds_requests_.emplace_back(sequence, at->second.content->assignment);
  ++stale_eds_requests_of_[at->second.content->assignment];
}

Warming::Changes Warming::ClusterAcked(const std::string& name, std::uint64_t sequence, Time now) {
  Changes changes;
  SpellOut();
  NoteAcked(name, sequence, now, changes);
  return changes;
}

void Warming::NoteAcked(const std::string& name, std::uint64_t sequence, Time now,
                        Changes& changes) {
  const auto at = clusters_.find(name);
  if (at == clusters_.end() || at->second.pushed > sequence) return;
  at->second.acked = true;
  const std::string assignment = at->second.content->assignment;
  if (!options_.aggregated && !assignment.empty()) SettleSharers(assignment, now, changes);
  Settle(name, now, changes);
}

Warming::Changes Warming::ResponseAcked(std::uint64_t sequence, Time now) {
  Changes changes;
  acked_any_ = true;
  std::set<std::string> assignments;
  for (; !stale_eds_requests_.empty() && stale_eds_requests_.front().first <= sequence;
       stale_eds_requests_.pop_front()) {
    const auto count = stale_eds_requests_of_.find(stale_eds_requests_.front().second);
    if (--count->second == 0) stale_eds_requests_of_.erase(count);
    assignments.insert(std::move(stale_eds_requests_.front().second));
  }
  for (const std::string& assignment : assignments) SettleSharers(assignment, now, changes);
  NoteRecognised(changes);
  return changes;
}

// ---- Assignments acked ----

// Returns the clusters that wait for this assignment and were sent before it.
std::vector<NamePtr> Warming::WaitingFor(const Resource& assignment, std::uint64_t sequence) {
  std::vector<NamePtr> waiting;
  const auto users = by_assignment_.find(assignment.name);
  if (users == by_assignment_.end()) return waiting;
  for (const NamePtr& name : users->second) {
    WarmingCluster& cluster = clusters_.at(name);
    if (sequence <= cluster.pushed) continue;
    cluster.empty = assignment.without_endpoints;
    waiting.push_back(name);
  }
  return waiting;
}

// Notes it for a session that is aggregated.
void Warming::NoteAssignmentAcked(const Resource& assignment, std::uint64_t sequence, Time now,
                                  Changes& changes) {
  for (const NamePtr& name : WaitingFor(assignment, sequence)) {
    clusters_.at(name).assigned = true;
    Settle(*name, now, changes);
  }
}

Warming::Changes Warming::AssignmentAcked(const Resource& assignment, std::uint64_t stream,
                                          const StringMap<std::uint64_t>& asked,
                                          std::uint64_t sequence, Time now) {
  Changes changes;
  SpellOut();
  const std::string& name = assignment.name;
  if (!by_assignment_.contains(name)) return changes;
  if (options_.aggregated) {
    NoteAssignmentAcked(assignment, sequence, now, changes);
    return changes;
  }
  const std::vector<NamePtr> waiting = WaitingFor(assignment, sequence);
  const auto when = asked.find(name);
  for (const NamePtr& cluster : waiting) {
    if (when == asked.end() || when->second >= clusters_.at(cluster).pushed ||
        (unrecognised_ && when->second == 0)) {
      answered_[cluster].insert(stream);
    }
  }
  for (const NamePtr& cluster : waiting) Settle(*cluster, now, changes);
  SettleSharers(name, now, changes);
  return changes;
}

// Returns the clusters that take their endpoints from this assignment and have them now.
std::vector<NamePtr> Warming::ServedSharers(const std::string& assignment) {
  std::vector<NamePtr> served;
  const auto users = by_assignment_.find(assignment);
  if (users == by_assignment_.end()) return served;
  const auto stale = stale_eds_requests_of_.find(assignment);
  std::size_t waiting = stale == stale_eds_requests_of_.end() ? 0 : stale->second;
  examined_ += users->second.size();
  for (const NamePtr& name : users->second) waiting += clusters_.at(name).assigned ? 0 : 1;
  for (const NamePtr& name : users->second) {
    const WarmingCluster& cluster = clusters_.at(name);
    const auto answered = answered_.find(name);
    const std::size_t streams = answered == answered_.end() ? 0 : answered->second.size();
    if (!cluster.assigned && cluster.acked && streams >= waiting) served.push_back(name);
  }
  return served;
}

// Streams per type: all clusters that wait for this assignment are served when as many streams that
// asked since have acked it.
void Warming::SettleSharers(const std::string& assignment, Time now, Changes& changes) {
  for (;;) {
    const std::vector<NamePtr> served = ServedSharers(assignment);
    if (served.empty()) return;
    for (const NamePtr& name : served) {
      clusters_.at(name).assigned = true;
      Settle(*name, now, changes);
    }
  }
}

void Warming::StreamEnded(const std::string& assignment, std::uint64_t stream) {
  const auto users = by_assignment_.find(assignment);
  if (users == by_assignment_.end()) return;
  for (const NamePtr& cluster : users->second) {
    if (const auto answered = answered_.find(cluster); answered != answered_.end())
      answered->second.erase(stream);
  }
}

// ---- Warm clusters ----

// True if the cluster is warm now. Else starts the time-out after which it is, if there is one.
bool Warming::IsWarm(const std::string& name, WarmingCluster& cluster, Time now) {
  const Resource& content = *cluster.content;
  const bool by_assignment = content.warm_by == WarmBy::kAssignment;
  const auto wait = [&](std::chrono::milliseconds time) {
    if (!cluster.warm_at.has_value()) {
      cluster.warm_at = now + time;
      timers_.emplace(*cluster.warm_at, name);
    }
    return now >= *cluster.warm_at;
  };
  bool warm = by_assignment ? cluster.assigned : cluster.acked;
  if (!options_.aggregated) {
    warm = cluster.acked && (cluster.assigned || content.assignment.empty());
    if (warm && !by_assignment) warm = wait(content.warm_time);
  }
  if (warm && by_assignment && cluster.empty) warm = wait(options_.empty_wait);
  return warm;
}

// Takes note if the cluster is warm now.
void Warming::Settle(const std::string& cluster, Time now, Changes& changes) {
  const auto at = clusters_.find(cluster);
  if (at == clusters_.end() || !IsWarm(cluster, at->second, now)) return;
  changes.warm.push_back(at->first);
  Forget(cluster);
  NoteRecognised(changes);
}

// Takes note once the Envoy has our clusters instead of those from before our start.
void Warming::NoteRecognised(Changes& changes) {
  if (!unrecognised_ || !acked_any_ || !empty()) return;
  unrecognised_ = false;
  changes.recognised = true;
}

Warming::Changes Warming::TakeTimedOut(Time now) {
  Changes changes;
  while (!timers_.empty() && timers_.begin()->first <= now) {
    const std::string cluster = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    Settle(cluster, now, changes);
  }
  return changes;
}

std::optional<Warming::Time> Warming::NextDeadline() const {
  if (timers_.empty()) return std::nullopt;
  return timers_.begin()->first;
}

}  // namespace contour::xds
