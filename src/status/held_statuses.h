// SPDX-License-Identifier: Apache-2.0
// Holds back for a moment those statuses that were caused by something missing, which may only be
// late: kinds come by watches of their own, so an IngressRoute can be here before its Service, and
// would be called invalid in between. Only the telling is held, not the derivation.
//
//   HeldStatuses held(250ms);
//   for (auto& told : held.Offer(ref, status, now)) …       // as the core gives them
//   for (auto& told : held.TakeDue(now)) …                  // at held.NextDue()
//
// The latest wins: a status that isn't of that kind goes at once, in place of the one held; one
// that is takes its place and goes when that would have gone, so that nothing is held longer than
// the hold. What was told last isn't told again.
//
// StatusTeller is the same with the real clock, on a thread. While it is unsure what there is (a
// kind can't be read any more), what seems to be missing may be there: such statuses go on being
// held.
//
// HeldStatuses: one thread at a time, no clock.

#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "api/object.h"
#include "base/hash.h"
#include "base/mutex.h"
#include "graph/model/model.h"

namespace contour::status {

// nullopt: the object is gone, or not ours any more.
using ObjectStatus = std::pair<api::ObjectRef, std::optional<graph::Status>>;

class HeldStatuses {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit HeldStatuses(std::chrono::milliseconds hold) : hold_(hold) {}

  // What is to be told now, in the order given.
  std::vector<ObjectStatus> Offer(std::vector<ObjectStatus> statuses, Time now);
  // What was held long enough, the longest first.
  std::vector<ObjectStatus> TakeDue(Time now);
  std::optional<Time> NextDue() const;  // nullopt: nothing is held

  std::size_t size() const { return held_.size(); }

 private:
  struct Held {
    Time due;
    graph::Status status;
  };

  // Whether it differs from what was told last; notes that it is told.
  bool Tell(const api::ObjectRef& ref, const std::optional<graph::Status>& status);

  const std::chrono::milliseconds hold_;
  std::map<api::ObjectRef, Held> held_;
  std::set<std::pair<Time, api::ObjectRef>> due_;
  std::map<api::ObjectRef, Hash128> told_;
};

// Calls `tell` on a thread of its own, from Start to Stop; what is still held then is dropped, it
// is found again by whoever comes next.
class StatusTeller {
 public:
  using Tell = std::function<void(const ObjectStatus&)>;

  // `unsure` is asked on the thread when a status is due; it must not block.
  StatusTeller(
      std::chrono::milliseconds hold, Tell tell,
      std::function<bool()> unsure = [] { return false; });
  ~StatusTeller();  // stops
  StatusTeller(const StatusTeller&) = delete;
  StatusTeller& operator=(const StatusTeller&) = delete;

  void Start();
  void Stop();  // tells what waits and isn't held, then ends

  // Any thread; returns at once.
  void Offer(std::vector<ObjectStatus> statuses);
  std::size_t held() const;

 private:
  void Run();
  // Returns the statuses that may be told now.
  std::vector<ObjectStatus> TakeTellable() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::chrono::milliseconds hold_;
  const Tell tell_;
  const std::function<bool()> unsure_;
  mutable Mutex mutex_;
  Condition wake_;
  std::map<api::ObjectRef, std::optional<graph::Status>> offered_
      ABSL_GUARDED_BY(mutex_);  // bounded: the latest of each
  HeldStatuses held_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace contour::status
