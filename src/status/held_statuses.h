// SPDX-License-Identifier: Apache-2.0
// Holds statuses that were caused by a missing object for a moment, since the object may only be
// late: each kind comes by a watch of its own, so an IngressRoute can arrive before its Service,
// and would be reported as invalid in between. Only the report is held, not the derivation.
//
// Example, given `const api::ObjectRef& ref`, `const graph::Status& status` and
// `HeldStatuses::Time now`:
//   HeldStatuses held(250ms);
//   const auto told = held.Offer({{ref, status}}, now);  // as the core gives them
//   const auto due = held.TakeDue(now + 250ms);          // at held.NextDue()
//
// The latest status wins. A status with another cause is reported at once, in place of the one that
// is held. One with this cause takes the place of the held one and is reported when that would have
// been, so that nothing is held longer than the hold. The status that was reported last isn't
// reported again.
//
// StatusTeller does this with the real clock, on a thread. While a kind is unknown, an object that
// seems to be missing may exist: such statuses stay held.
//
// HeldStatuses is for one thread at a time, and has no clock.

#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "api/object.h"
#include "base/hash.h"
#include "base/mutex.h"
#include "base/worker_thread.h"
#include "graph/model/status.h"

namespace contour::status {

// The status of an object; nullopt: the object is gone, or contour doesn't serve it any more.
using ObjectStatus = std::pair<api::ObjectRef, std::optional<graph::Status>>;

class HeldStatuses {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit HeldStatuses(std::chrono::milliseconds hold) : hold_(hold) {}

  // Returns the statuses that are to be reported now, in the order given.
  std::vector<ObjectStatus> Offer(std::vector<ObjectStatus> statuses, Time now);
  // Returns the statuses that were held long enough, the longest first.
  std::vector<ObjectStatus> TakeDue(Time now);
  std::optional<Time> NextDue() const;  // nullopt: nothing is held

  std::size_t size() const { return held_.size(); }

 private:
  struct Held {
    Time due;
    graph::Status status;
  };

  // Returns true if the status differs from the one reported last, and notes that it is reported.
  bool Tell(const api::ObjectRef& ref, const std::optional<graph::Status>& status);

  const std::chrono::milliseconds hold_;
  std::map<api::ObjectRef, Held> held_;
  std::set<std::pair<Time, api::ObjectRef>> due_;
  std::map<api::ObjectRef, Hash128> told_;
};

// Calls `tell` on a thread of its own, from Start to Stop. Statuses that are still held at Stop are
// dropped; the next process derives them again.
class StatusTeller {
 public:
  using Tell = std::function<void(const ObjectStatus&)>;

  // `unsure` is called on the thread when a status is due, and returns true while a kind is
  // unknown. It must not block.
  StatusTeller(
      std::chrono::milliseconds hold, Tell tell,
      std::function<bool()> unsure = [] { return false; });
  ~StatusTeller();  // stops
  StatusTeller(const StatusTeller&) = delete;
  StatusTeller& operator=(const StatusTeller&) = delete;

  void Start();
  void Stop();  // ends the thread, then reports statuses that wait and aren't held

  // May be called on any thread; returns at once.
  void Offer(std::vector<ObjectStatus> statuses);
  std::size_t held() const;

 private:
  // Reports the statuses that may be reported now. Returns when the next held one is due.
  std::optional<WorkerThread::Time> TellNow() ABSL_LOCKS_EXCLUDED(mutex_);
  // Returns the statuses that may be reported now.
  std::vector<ObjectStatus> TakeTellable() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::chrono::milliseconds hold_;
  const Tell tell_;
  const std::function<bool()> unsure_;
  mutable Mutex mutex_;
  std::map<api::ObjectRef, std::optional<graph::Status>> offered_
      ABSL_GUARDED_BY(mutex_);  // bounded: the latest of each object
  HeldStatuses held_ ABSL_GUARDED_BY(mutex_);
  bool started_ ABSL_GUARDED_BY(mutex_) = false;
  WorkerThread worker_;
};

}  // namespace contour::status
