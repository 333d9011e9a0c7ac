// SPDX-License-Identifier: Apache-2.0
// Counts durations in fixed ranges. This is the histogram behind a metric.
//
// Example, given `std::chrono::steady_clock::time_point started`:
//   Latency derive;  // a member
//   derive.Observe(std::chrono::steady_clock::now() - started);
//   const LatencyValues shown = derive.values();
//
// The methods may be called on any thread, and take no lock. A reader may see a count whose
// duration is not in the sum yet.

#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace contour {

// Upper bounds of the ranges in seconds; a last range has none.
inline constexpr std::array<double, 15> kLatencyBounds = {
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30};

inline std::size_t LatencyRange(double seconds) {
  std::size_t range = 0;
  while (range < kLatencyBounds.size() && seconds > kLatencyBounds[range]) ++range;
  return range;
}

struct LatencyValues {
  std::array<std::uint64_t, kLatencyBounds.size() + 1> counts = {};  // of each range alone
  double sum = 0;                                                    // seconds

  std::uint64_t Count() const {
    std::uint64_t all = 0;
    for (const std::uint64_t count : counts) all += count;
    return all;
  }
  // Adds a duration to values that one thread owns.
  void Observe(std::chrono::nanoseconds time) {
    const double seconds = std::chrono::duration<double>(time).count();
    ++counts[LatencyRange(seconds)];
    sum += seconds;
  }
  LatencyValues& operator+=(const LatencyValues& other) {
    for (std::size_t i = 0; i < counts.size(); ++i) counts[i] += other.counts[i];
    sum += other.sum;
    return *this;
  }
};

class Latency {
 public:
  void Observe(std::chrono::nanoseconds time) {
    const double seconds = std::chrono::duration<double>(time).count();
    counts_[LatencyRange(seconds)].fetch_add(1, std::memory_order_relaxed);
    nanoseconds_.fetch_add(time.count(), std::memory_order_relaxed);
  }
  LatencyValues values() const {
    LatencyValues values;
    for (std::size_t i = 0; i < counts_.size(); ++i)
      values.counts[i] = counts_[i].load(std::memory_order_relaxed);
    values.sum = std::chrono::duration<double>(
                     std::chrono::nanoseconds(nanoseconds_.load(std::memory_order_relaxed)))
                     .count();
    return values;
  }

 private:
  std::array<std::atomic<std::uint64_t>, kLatencyBounds.size() + 1> counts_ = {};
  std::atomic<std::int64_t> nanoseconds_ = 0;
};

}  // namespace contour
