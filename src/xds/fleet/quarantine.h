// SPDX-License-Identifier: Apache-2.0
// Keeps contents that Envoys rejected from Envoys: what is published goes through here on its way
// to the sessions.
//
//   Quarantine quarantine(options, inquire, deliver);
//   quarantine.Publish(snapshot);          // → deliver(snapshots without what is quarantined)
//   quarantine.Report(session, culprit);   // → inquire(ticket, key, version)
//   quarantine.Answer(ticket, opinion);    // once per worker that was asked → deliver(…)
//
// Rules
// - A content that one Envoy rejects is kept from the Envoys of that node. All others are offered
//   it.
// - It is kept from all Envoys (Reach::kFleet) once Envoys of two nodes rejected it with the same
//   error message, because then an Envoy that connects later would reject it too.
// - A content that any Envoy runs, or is known to have acked, is kept from nobody. All sessions are
//   asked before a reach begins. An Envoy that turns out to run it ends the quarantine at once, and
//   keeps the content meanwhile (see EnvoyState::Wanted).
// - In the place of a quarantined content stands the last good one: the one which the Envoy that
//   rejected it, or another, runs, with the clusters, assignments and secrets that it needs, should
//   they be gone. If no Envoy runs one, the content is left out. A whole listener is never left out.
// - What a stand-in needs doesn't go stale: its assignments and secrets are named to whoever builds
//   the snapshots (Follow). A cluster that stands in for a content with another assignment has the
//   endpoints of that one, since a cluster's name stands for one port of a Service. The clusters
//   that a stand-in needs stay as they were.
// - A content stays quarantined as long as it is what is published. Another content of the resource
//   is tried again; so is this one, should it come back later.
// - The reports of a session don't count any more once it rejected what it acked before.
// - At most kContents are quarantined at once, and at most kNodes nodes have snapshots of their
//   own. Further content is kept only from the session that NACKed it.
//
// A NACK that speaks of the node isn't reported here: see node_fault.h.
//
// Threads: any. The functions given are called with the lock held, those of Options without it;
// they must not call back.

#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "xds/session/culprit.h"
#include "xds/session/views.h"
#include "xds/snapshot/snapshot.h"

namespace contour::xds {

// Holds what the sessions are to be offered.
struct Delivery {
  SnapshotPtr fleet;
  std::map<std::string, SnapshotPtr> nodes;  // by node id, of nodes that rejected something

  const SnapshotPtr& For(const std::string& node_id) const {
    const auto at = nodes.find(node_id);
    return at == nodes.end() ? fleet : at->second;
  }
};
using DeliveryPtr = std::shared_ptr<const Delivery>;

class Quarantine {
 public:
  static constexpr std::size_t kContents = 1024;
  static constexpr std::size_t kNodes = 64;

  struct Options {
    // Called when a content is quarantined and when its reach grows; may be empty.
    std::function<void(const QuarantineView&)> on_quarantine;
    std::function<void(const QuarantineView&)> on_release;  // may be empty
  };
  // Asks every worker; returns how many will answer.
  using Inquire = std::function<std::size_t(std::uint64_t ticket, const ResourceKey& key,
                                            const Hash128& version)>;
  using Deliver = std::function<void(const DeliveryPtr&)>;
  // Called when the stand-ins need something else than before.
  using Follow = std::function<void(const StandInNeeds&)>;

  Quarantine(Options options, Inquire inquire, Deliver deliver, Follow follow = {});

  void Publish(SnapshotPtr snapshot) ABSL_LOCKS_EXCLUDED(mutex_);

  // An Envoy rejected the content and acked the rest.
  void Report(std::uint64_t session, Culprit culprit) ABSL_LOCKS_EXCLUDED(mutex_);
  void Answer(std::uint64_t ticket, Opinion opinion) ABSL_LOCKS_EXCLUDED(mutex_);
  // An Envoy runs the content.
  void MarkRunning(const ResourceKey& key, const Hash128& version) ABSL_LOCKS_EXCLUDED(mutex_);
  // The Envoy rejects what it acked before: its reports no longer count.
  void IgnoreReports(std::uint64_t session) ABSL_LOCKS_EXCLUDED(mutex_);

  std::vector<QuarantineView> View() const ABSL_LOCKS_EXCLUDED(mutex_);
  struct Totals {
    std::size_t now = 0;
    std::size_t fleet = 0;          // of these, those with Reach::kFleet
    std::uint64_t quarantined = 0;  // since the start
    std::uint64_t released = 0;
  };
  Totals totals() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Clock = std::chrono::steady_clock;
  struct NodeReport {
    std::string node;     // its id, or the host of the connection if it has none
    std::string node_id;  // may be empty
    std::string error;    // what the error message says of the resource
  };
  struct Case {
    Culprit culprit;                              // of the first report
    std::map<std::uint64_t, NodeReport> reports;  // by session
    Hash128 head;                 // of the resource; with another, a part is tried again
    std::size_t outstanding = 0;  // answers to the inquiry
    bool running = false;         // an answer says so
    std::optional<Reach> reach;   // nullopt: not in force, the first inquiry is under way
    Clock::time_point since;
  };
  using Cases = std::map<ResourceKey, Case>;
  // Collects what the functions of Options are given when the lock is free.
  struct News {
    std::vector<QuarantineView> quarantined;
    std::vector<QuarantineView> released;
  };
  using Content = std::pair<ResourceKey, Hash128>;

  static QuarantineView ViewOf(const Case& found);
  static Reach ReachOf(const Case& found);
  bool IsPublished(const ResourceKey& key, const Hash128& version) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Case* Open(const Culprit& culprit) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void End(Cases::iterator at, News& news) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Settle(Cases::iterator at, News& news) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  SnapshotPtr Without(const std::vector<const Case*>& cases) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  DeliveryPtr Filtered() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string RejectedAssignment(const Culprit& culprit) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  StandInNeeds Needs() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DeliverFiltered() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Notify(const News& news) const ABSL_LOCKS_EXCLUDED(mutex_);

  const Options options_;
  const Inquire inquire_;
  const Deliver deliver_;
  const Follow follow_;  // may be empty
  mutable Mutex mutex_;
  SnapshotPtr published_ ABSL_GUARDED_BY(mutex_);  // null before the first
  Cases cases_ ABSL_GUARDED_BY(mutex_);
  std::map<std::uint64_t, ResourceKey> inquiries_ ABSL_GUARDED_BY(mutex_);  // by ticket
  std::set<Content> running_ ABSL_GUARDED_BY(mutex_);                       // as far as published
  std::uint64_t tickets_ ABSL_GUARDED_BY(mutex_) = 0;
  StandInNeeds needs_ ABSL_GUARDED_BY(mutex_);  // as Follow was called last
  Totals totals_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace contour::xds
