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

// Runs in a process of its own: it sends itself the signal twice, and its exit code shows that it
// goes on all the same.
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

// Runs in a process of its own: it sends itself the signal, then SIGTERM.
void IsSentAndStopped(int signal) {
  Lifecycle lifecycle;
  kill(getpid(), signal);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  kill(getpid(), SIGTERM);
  std::exit(lifecycle.Run());
}

// Signals that mean a fault of the process, or that its time is over, even if sent from outside.
const std::vector<int> kFatal = {SIGILL, SIGTRAP, SIGABRT, SIGBUS,
                                 SIGFPE, SIGSEGV, SIGSYS,  SIGXCPU};
// Signals that pause a process and continue it.
const std::vector<int> kJobControl = {SIGTSTP, SIGTTIN, SIGTTOU, SIGSTOP, SIGCONT};
const std::vector<int> kStop = {SIGTERM, SIGINT, SIGQUIT};

bool IsIn(const std::vector<int>& signals, int signal) {
  return std::find(signals.begin(), signals.end(), signal) != signals.end();
}

// Lists the signals that can be sent to a process, without SIGKILL and the two that the C library
// uses.
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
