// SPDX-License-Identifier: Apache-2.0

#include "base/duration.h"

#include <gtest/gtest.h>

#include <string>

namespace contour {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""min;

struct Case {
  const char* text;
  std::optional<std::chrono::nanoseconds> want;
};

TEST(ParseDuration, FollowsGo) {
  const Case cases[] = {
      {"1m30s", 90s},   {"250ms", 250ms}, {"0", 0s},        {"0s", 0s},       {"-5s", -5s},
      {"1.5s", 1500ms}, {"90", {}},       {"", {}},         {"infinity", {}}, {"inf", {}},
      {"peanut", {}},   {"1h", 60min},    {"9999999h", {}}, {"1s ", {}},
  };
  for (const Case& c : cases) EXPECT_EQ(ParseDuration(c.text), c.want) << c.text;
}

}  // namespace
}  // namespace contour
