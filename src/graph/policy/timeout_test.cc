// SPDX-License-Identifier: Apache-2.0

#include "graph/policy/timeout.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string_view>

#include "base/status.h"

namespace contour::graph {
namespace {

using std::chrono_literals::operator""s;

TEST(ParseTimeout, Table) {
  const auto of = [](std::string_view text) { return ParseTimeout({text, "timeout"}); };
  EXPECT_EQ(*of(""), std::nullopt);
  EXPECT_EQ(*of("0s"), std::nullopt);
  EXPECT_EQ(*of("1m30s"), (Timeout{.duration = 90s}));
  EXPECT_EQ(*of("-5s"), (Timeout{.duration = -5s}));
  for (const char* text : {"infinite", "infinity"}) {
    EXPECT_EQ(*of(text), (Timeout{.infinite = true})) << text;
  }
  for (const char* text : {"peanut", "90"}) {
    EXPECT_EQ(Message(of(text).status()),
              fmt::format("timeout: expected a duration, got \"{}\"", text));
  }
}

}  // namespace
}  // namespace contour::graph
