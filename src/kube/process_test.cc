// SPDX-License-Identifier: Apache-2.0

#include "kube/process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>

#include "base/status.h"

namespace contour::kube {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

ProcessSpec Shell(const std::string& script) {
  ProcessSpec spec;
  spec.argv = {"sh", "-c", script};
  spec.timeout = 20s;
  return spec;
}

TEST(ProcessTest, CollectsOutputAndExitCode) {
  const auto result = RunProcess(Shell("echo out; echo err >&2; cat; exit 3"), {});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->out, "out\n");
  EXPECT_EQ(result->err, "err\n");
  EXPECT_EQ(result->exit_code, 3);
}

TEST(ProcessTest, EnvironmentIsOursAndWhatIsAdded) {
  setenv("CONTOUR_PROCESS_TEST", "ours", 1);
  ProcessSpec spec = Shell("echo $CONTOUR_PROCESS_TEST $ADDED; test -n \"$PATH\"");
  spec.env = {{"ADDED", "theirs"}};
  EXPECT_EQ(RunProcess(spec, {})->out, "ours theirs\n");
  spec.env = {{"CONTOUR_PROCESS_TEST", "replaced"}};
  EXPECT_EQ(RunProcess(spec, {})->out, "replaced\n");
}

TEST(ProcessTest, LargeOutputOnBothPipesDoesNotBlock) {
  const auto result =
      RunProcess(Shell("head -c 500000 /dev/zero; head -c 500000 /dev/zero >&2"), {});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->out.size(), 500000u);
  EXPECT_EQ(result->err.size(), 2048u);
}

TEST(ProcessTest, LimitOnOutput) {
  ProcessSpec spec = Shell("cat /dev/zero");
  spec.max_output = 100000;
  EXPECT_EQ(RunProcess(spec, {}).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(ProcessTest, LimitOnTimeEndsChildrenToo) {
  ProcessSpec spec = Shell("sleep 1000 & sleep 1000");
  spec.timeout = 200ms;
  const auto begin = std::chrono::steady_clock::now();
  const auto result = RunProcess(spec, {});
  EXPECT_EQ(result.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(Message(result.status())), HasSubstr("sh: not done after 200 ms"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
}

TEST(ProcessTest, AChildThatKeepsThePipesOpenIsNotWaitedFor) {
  const auto begin = std::chrono::steady_clock::now();
  const auto result = RunProcess(Shell("sleep 15 & echo done"), {});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->out, "done\n");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
}

TEST(ProcessTest, Stop) {
  std::stop_source stop;
  std::thread later([&] {
    std::this_thread::sleep_for(100ms);
    stop.request_stop();
  });
  EXPECT_EQ(RunProcess(Shell("sleep 1000"), stop.get_token()).status().code(),
            absl::StatusCode::kCancelled);
  later.join();
}

TEST(ProcessTest, KilledBySignal) {
  EXPECT_EQ(RunProcess(Shell("kill -9 $$"), {})->exit_code, 128 + 9);
}

TEST(ProcessTest, NoSuchProgram) {
  ProcessSpec spec;
  spec.argv = {"contour-no-such-program"};
  EXPECT_TRUE(absl::IsNotFound(RunProcess(spec, {}).status()));
}

}  // namespace
}  // namespace contour::kube
