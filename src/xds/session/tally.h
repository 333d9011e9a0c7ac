// SPDX-License-Identifier: Apache-2.0
// Figures over many values that are kept as the values come, change and go, so that reading one
// costs nothing.
//
//   std::size_t held = 0;                      // the sum
//   struct Hold { Share share; … };            // one of many, in any container
//   hold.share = Share(held, 3);               // counts 3, until `hold` is gone
//
//   Times unanswered;
//   struct InFlight { TimeMark mark; … };
//   in_flight.mark = TimeMark(unanswered, now);
//   std::optional<Time> oldest = unanswered.Earliest();
//
// The sum and the times must live longer than the shares and the marks. One thread.

#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <utility>

namespace contour::xds {

// Holds what one value adds to a sum.
class Share {
 public:
  Share() = default;
  Share(std::size_t& sum, std::size_t count) : sum_(&sum), count_(count) { *sum_ += count_; }
  ~Share() { Change(0); }
  Share(Share&& other) noexcept
      : sum_(std::exchange(other.sum_, nullptr)), count_(std::exchange(other.count_, 0)) {}
  Share& operator=(Share&& other) noexcept {
    if (this == &other) return *this;
    Change(0);
    sum_ = std::exchange(other.sum_, nullptr);
    count_ = std::exchange(other.count_, 0);
    return *this;
  }
  Share(const Share&) = delete;
  Share& operator=(const Share&) = delete;

  // Counts `count` from now on. Nothing for a share of no sum.
  void Change(std::size_t count) {
    if (sum_ == nullptr) return;
    *sum_ = *sum_ - count_ + count;
    count_ = count;
  }

 private:
  std::size_t* sum_ = nullptr;
  std::size_t count_ = 0;
};

class Times {
 public:
  using Time = std::chrono::steady_clock::time_point;
  std::optional<Time> Earliest() const {
    return times_.empty() ? std::nullopt : std::optional(times_.begin()->first);
  }

  // Used by TimeMark.
  void Add(Time time) { ++times_[time]; }
  // REQUIRES: the time was added.
  void Remove(Time time) {
    const auto at = times_.find(time);
    if (--at->second == 0) times_.erase(at);
  }

 private:
  std::map<Time, std::size_t> times_;  // how many values have it
};

// The time of one value.
class TimeMark {
 public:
  TimeMark() = default;
  TimeMark(Times& times, Times::Time time) : times_(&times), time_(time) { times_->Add(time_); }
  ~TimeMark() { Remove(); }
  TimeMark(TimeMark&& other) noexcept
      : times_(std::exchange(other.times_, nullptr)), time_(other.time_) {}
  TimeMark& operator=(TimeMark&& other) noexcept {
    if (this == &other) return *this;
    Remove();
    times_ = std::exchange(other.times_, nullptr);
    time_ = other.time_;
    return *this;
  }
  TimeMark(const TimeMark&) = delete;
  TimeMark& operator=(const TimeMark&) = delete;

 private:
  void Remove() {
    if (times_ != nullptr) times_->Remove(time_);
  }

  Times* times_ = nullptr;
  Times::Time time_;
};

}  // namespace contour::xds
