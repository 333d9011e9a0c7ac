// SPDX-License-Identifier: Apache-2.0

#include "base/worker_thread.h"

#include <gtest/gtest.h>

namespace contour {
namespace {

using namespace std::chrono_literals;
using Time = WorkerThread::Time;

TEST(WorkerThread, CallsTheStepAtOnceAndAgainWhenItSays) {
  Notification third;
  int calls = 0;
  WorkerThread worker;
  worker.Start([&]() -> std::optional<Time> {
    if (++calls < 3) return WorkerThread::Clock::now() + 1ms;
    third.Notify();
    return std::nullopt;
  });
  third.Wait();
  worker.Stop();
  EXPECT_EQ(calls, 3);
}

TEST(WorkerThread, SleepsUntilItIsWoken) {
  std::atomic<int> calls = 0;
  Notification second;
  WorkerThread worker;
  worker.Start(
      [&]() -> std::optional<Time> {
        if (++calls == 2) second.Notify();
        return std::nullopt;
      },
      WorkerThread::Clock::now() + 1h);
  EXPECT_EQ(calls, 0);
  worker.Wake();
  while (calls == 0) std::this_thread::yield();
  worker.Wake();
  second.Wait();
}

TEST(WorkerThread, AWakeDuringAStepIsNotLost) {
  Notification second;
  WorkerThread worker;
  int calls = 0;
  worker.Start([&]() -> std::optional<Time> {
    if (++calls == 1) {
      worker.Wake();
    } else {
      second.Notify();
    }
    return std::nullopt;
  });
  second.Wait();
}

TEST(WorkerThread, StopEndsItWhateverItWaitsFor) {
  int calls = 0;
  for (const bool forever : {false, true}) {
    Notification begun;
    WorkerThread worker;
    worker.Start([&]() -> std::optional<Time> {
      ++calls;
      begun.Notify();
      if (forever) return std::nullopt;
      return WorkerThread::Clock::now() + 1h;
    });
    begun.Wait();
    worker.Stop();
    EXPECT_TRUE(worker.stopping());
    worker.Wake();
    worker.Stop();
  }
  EXPECT_EQ(calls, 2);
}

TEST(WorkerThread, AStepSeesThatItIsToStop) {
  Notification begun;
  WorkerThread worker;
  worker.Start([&]() -> std::optional<Time> {
    begun.Notify();
    while (!worker.stopping()) std::this_thread::yield();
    return std::nullopt;
  });
  begun.Wait();
  worker.Stop();
}

TEST(WorkerThread, DoesNothingAfterStop) {
  bool called = false;
  WorkerThread worker;
  worker.Stop();
  worker.Start([&]() -> std::optional<Time> {
    called = true;
    return std::nullopt;
  });
  worker.Wake();
  worker.Stop();
  EXPECT_FALSE(called);
}

}  // namespace
}  // namespace contour
