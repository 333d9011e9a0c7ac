// SPDX-License-Identifier: Apache-2.0
// Time since the machine's start, its sleep included (CLOCK_BOOTTIME): a lease runs out while we
// are frozen or suspended too, and nobody can set this clock.

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
