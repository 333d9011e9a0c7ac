// SPDX-License-Identifier: Apache-2.0

#include "cmd/lifecycle.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

namespace contour::cmd {
namespace {

constexpr int kRanOn = 42;

// In a process of its own: sends itself the signal twice, and says by the exit code that it goes on
// all the same.
void IsSent(int signal) {
  Lifecycle lifecycle;
  for (int i = 0; i < 2; ++i) kill(getpid(), signal);
  std::thread ender([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    lifecycle.End(kRanOn);
  });
  const int exit_code = lifecycle.Run();
  ender.join();
  std::exit(exit_code);
}

// In a process of its own: SIGTERM after the signal.
void IsSentAndStopped(int signal) {
  Lifecycle lifecycle;
  kill(getpid(), signal);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  kill(getpid(), SIGTERM);
  std::exit(lifecycle.Run());
}

// Sent from outside these mean that the process is at fault, or that its time is over.
const std::vector<int> kFatal = {SIGILL, SIGTRAP, SIGABRT, SIGBUS,
                                 SIGFPE, SIGSEGV, SIGSYS,  SIGXCPU};
// These stop a process and let it go on.
const std::vector<int> kJobControl = {SIGTSTP, SIGTTIN, SIGTTOU, SIGSTOP, SIGCONT};
const std::vector<int> kStop = {SIGTERM, SIGINT, SIGQUIT};

bool IsIn(const std::vector<int>& signals, int signal) {
  return std::find(signals.begin(), signals.end(), signal) != signals.end();
}

// Lists the signals that a process can be sent, but for SIGKILL and the two that the C library
// keeps.
std::vector<int> Signals() {
  std::vector<int> signals;
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    if (signal != SIGKILL && (signal < 32 || signal >= SIGRTMIN)) signals.push_back(signal);
  }
  return signals;
}

class SignalTest : public ::testing::Test {
 protected:
  SignalTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(SignalTest, TermIntAndQuitStopCleanly) {
  for (const int signal : kStop) {
    EXPECT_EXIT(
        {
          Lifecycle lifecycle;
          kill(getpid(), signal);
          std::exit(lifecycle.Run());
        },
        ::testing::ExitedWithCode(0), "")
        << signal;
  }
}

TEST_F(SignalTest, ASecondOneEndsTheProcessAtOnce) {
  EXPECT_EXIT(
      {
        Lifecycle lifecycle;
        kill(getpid(), SIGTERM);
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        kill(getpid(), SIGINT);
        std::this_thread::sleep_for(std::chrono::seconds(10));
        std::exit(1);
      },
      ::testing::ExitedWithCode(128 + SIGINT), "");
}

TEST_F(SignalTest, AllOthersAreIgnoredAndSigtermStillStops) {
  std::size_t tested = 0;
  for (const int signal : Signals()) {
    if (IsIn(kStop, signal) || IsIn(kFatal, signal) || IsIn(kJobControl, signal)) continue;
    ++tested;
    EXPECT_EXIT(IsSentAndStopped(signal), ::testing::ExitedWithCode(0), "") << signal;
  }
  EXPECT_GT(tested, 40U);
}

TEST_F(SignalTest, TheRunIsNotEndedByIgnoredOnes) {
  for (const int signal : {SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE, SIGALRM, SIGPROF})
    EXPECT_EXIT(IsSent(signal), ::testing::ExitedWithCode(kRanOn), "") << signal;
}

TEST_F(SignalTest, FaultsEndTheProcess) {
  for (const int signal : {SIGTRAP, SIGSYS, SIGXCPU})
    EXPECT_EXIT(IsSent(signal), ::testing::KilledBySignal(signal), "") << signal;
}

}  // namespace
}  // namespace contour::cmd
