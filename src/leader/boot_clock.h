// SPDX-License-Identifier: Apache-2.0
// Returns the time since the machine's start, including the time in which it slept
// (CLOCK_BOOTTIME): a lease expires while the process is frozen or the machine suspended too, and
// nobody can set this clock.

#pragma once

#include <chrono>
#include <ctime>

namespace contour::leader {

using BootTime = std::chrono::nanoseconds;

inline BootTime BootNow() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

}  // namespace contour::leader
