// SPDX-License-Identifier: Apache-2.0
// A thread that does one kind of work again and again until it is stopped.
//
// Example:
//   std::atomic<int> waiting = 0;  // what the thread is to do; of a class: members and their mutex
//   WorkerThread worker;
//   worker.Start([&]() -> std::optional<WorkerThread::Time> {
//     waiting = 0;
//     return WorkerThread::Clock::now() + 5s;
//   });
//   ++waiting;
//   worker.Wake();
//   worker.Stop();
//
// The owner keeps the work that waits, since each owner merges it in its own way (a queue, the
// latest of each object, a deadline). The thread calls `step`, which takes the work and returns
// when it is to be called again if nobody wakes it. A wake during a step is not lost: the step is
// then called once more.
//
// Threads that wait for file descriptors (poll) are not of this kind.

#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"

namespace contour {

class WorkerThread {
 public:
  using Clock = std::chrono::steady_clock;
  using Time = Clock::time_point;
  // Does the work that waits. Returns when it is to be called again; nullopt: at the next Wake. A
  // step that takes long returns early when stopping() is true.
  using Step = std::function<std::optional<Time>()>;

  WorkerThread() = default;
  ~WorkerThread() { Stop(); }
  WorkerThread(const WorkerThread&) = delete;
  WorkerThread& operator=(const WorkerThread&) = delete;

  // Starts the thread, which calls `step` for the first time at `first` or at an earlier Wake. Does
  // nothing after Stop. REQUIRES: it wasn't started before.
  void Start(Step step, Time first = Time()) ABSL_LOCKS_EXCLUDED(mutex_);
  // Makes the thread call `step` soon. Any thread; returns at once.
  void Wake() ABSL_LOCKS_EXCLUDED(mutex_);
  // Waits until a step that is under way has ended; none begins afterwards. May be called on any
  // thread but this one, and more than once.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

  // True from the first call of Stop on.
  bool stopping() const { return stopping_; }

 private:
  void Run(const Step& step, Time first) ABSL_LOCKS_EXCLUDED(mutex_);
  // Returns at `due` (nullopt: never), at a wake, or when the thread is to stop.
  void WaitFor(std::optional<Time> due) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  Condition changed_;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  std::atomic<bool> stopping_ = false;  // written under the mutex
  std::thread thread_;
};

}  // namespace contour
