// SPDX-License-Identifier: Apache-2.0
// The interface to time, randomness and the order of tasks: an event loop on one thread. CurlIo
// (curl_io.h) implements it; tests have a loop whose clock they move by hand.
//
// Example, given `Loop& loop`:
//   Timer retry(loop);
//   retry.Set(800ms, [] { std::puts("again"); });
//
// All methods must be called on the loop's own thread, except Post, Run and Now (any thread). Tasks
// never run inside the call that passes them, except in Run. The loop outlives everything that uses
// it.

#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

namespace contour::kube {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;

class Loop {
 public:
  enum class TimerId : std::uint64_t {};

  virtual ~Loop() = default;

  virtual TimePoint Now() const = 0;
  // Returns a random number, uniform in [0, 1).
  virtual double Random() = 0;
  virtual TimerId RunAfter(Clock::duration delay, std::function<void()> task) = 0;
  // Cancels a timer. Does nothing if the timer has fired already.
  virtual void CancelTimer(TimerId timer) = 0;
  // Queues `task`; once the loop has stopped, tasks are dropped without having run.
  virtual void Post(std::function<void()> task) = 0;
  // Runs `task` on the loop's thread and returns when it has run. If it is called on that thread,
  // or the loop has stopped, it calls `task` directly.
  virtual void Run(const std::function<void()>& task) = 0;
};

// One pending task, which is cancelled when its owner ends.
class Timer {
 public:
  explicit Timer(Loop& loop) : loop_(loop) {}
  ~Timer() { Clear(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Sets the task, in place of the one that was set before.
  void Set(Clock::duration delay, std::function<void()> task) {
    Clear();
    pending_ = loop_.RunAfter(delay, [this, run = std::move(task)] {
      pending_.reset();
      run();
    });
  }
  void Clear() {
    if (pending_) loop_.CancelTimer(*std::exchange(pending_, std::nullopt));
  }
  bool pending() const { return pending_.has_value(); }

 private:
  Loop& loop_;
  std::optional<Loop::TimerId> pending_;
};

}  // namespace contour::kube
