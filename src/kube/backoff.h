// SPDX-License-Identifier: Apache-2.0
// Computes the time to wait before the next try: it doubles from `first` to `most`, each time up to
// a quarter more or less, so that many clients don't try at the same moment. (client-go uses 0.8 s
// to 30 s.)
//
// Example:
//   Backoff backoff({800ms, 30s});
//   const std::chrono::milliseconds wait = backoff.Next(0.5);  // 800 ms, then 1.6 s
//   backoff.Reset();                                           // once it works

#pragma once

#include <algorithm>
#include <chrono>

namespace contour::kube {

class Backoff {
 public:
  struct Limits {
    std::chrono::milliseconds first{800};
    std::chrono::milliseconds most{30'000};
  };

  explicit Backoff(Limits limits) : limits_(limits), next_(limits.first) {}

  // Returns the next wait, at most `most`. `random` is uniform in [0, 1).
  std::chrono::milliseconds Next(double random) {
    const std::chrono::milliseconds step = next_;
    next_ = std::min(limits_.most, next_ * 2);
    const auto jittered = std::chrono::duration<double, std::milli>(step) * (0.75 + 0.5 * random);
    return std::min(limits_.most, std::chrono::duration_cast<std::chrono::milliseconds>(jittered));
  }
  void Reset() { next_ = limits_.first; }

 private:
  Limits limits_;
  std::chrono::milliseconds next_;
};

}  // namespace contour::kube
