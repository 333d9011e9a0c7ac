// SPDX-License-Identifier: Apache-2.0
#include "leader/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/status.h"

namespace contour::leader {
namespace {

using namespace std::chrono_literals;

TEST(OptionsTest, IdentityIsThePodOrUnique) {
  setenv("POD_NAME", "contour-7d9f", 1);
  EXPECT_EQ(DefaultIdentity(), "contour-7d9f");
  unsetenv("POD_NAME");
  const std::string first = DefaultIdentity();
  EXPECT_THAT(first, testing::MatchesRegex(
                         ".+_[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
  EXPECT_NE(first, DefaultIdentity());
}

struct Case {
  const char* name;
  std::chrono::milliseconds lease, renew, retry;
  const char* error = "";
};

class CheckTest : public testing::TestWithParam<Case> {};

TEST_P(CheckTest, Table) {
  Options options;
  options.identity = "me";
  options.lease_duration = GetParam().lease;
  options.renew_deadline = GetParam().renew;
  options.retry_period = GetParam().retry;
  const absl::Status status = Check(options);
  if (*GetParam().error == '\0') {
    EXPECT_TRUE(status.ok()) << Message(status);
  } else {
    EXPECT_THAT(std::string(Message(status)), testing::HasSubstr(GetParam().error));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Times, CheckTest,
    testing::Values(Case{"defaults", 15s, 10s, 2s}, Case{"short", 3s, 2s, 500ms},
                    Case{"deadline_too_long", 15s, 15s, 2s, "shorter than the lease duration"},
                    Case{"period_too_long", 15s, 10s, 9s, "1.2 retry periods"},
                    Case{"no_period", 15s, 10s, 0s, "must be positive"},
                    Case{"part_of_a_second", 2500ms, 2s, 1s, "whole number of seconds"},
                    Case{"no_lease", 0s, 0s, 1s, "whole number of seconds"}),
    [](const auto& tested) { return std::string(tested.param.name); });

TEST(OptionsTest, NamesAreNeeded) {
  Options options;
  EXPECT_THAT(std::string(Message(Check(options))), testing::HasSubstr("identity"));
  options.identity = "me";
  EXPECT_TRUE(Check(options).ok());
  options.ns.clear();
  EXPECT_THAT(std::string(Message(Check(options))), testing::HasSubstr("namespace"));
}

}  // namespace
}  // namespace contour::leader
