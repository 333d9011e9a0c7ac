// SPDX-License-Identifier: Apache-2.0

#include "graph/policy/retry.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/status.h"

namespace contour::graph {
namespace {

using std::chrono_literals::operator""ms;

absl::StatusOr<Retry> Of(std::int64_t count, std::string_view per_try_timeout) {
  return ParseRetry({.count = count, .per_try_timeout = per_try_timeout, .field = "retryOn"});
}

TEST(ParseRetry, Table) {
  EXPECT_EQ(*Of(0, ""), (Retry{"5xx", 1, std::nullopt}));
  EXPECT_EQ(*Of(-3, ""), (Retry{"5xx", 1, std::nullopt}));
  EXPECT_EQ(*Of(6, "150ms"), (Retry{"5xx", 6, 150ms}));
  EXPECT_EQ(*Of(1, "please"), (Retry{"5xx", 1, std::nullopt}));
  EXPECT_EQ(*Of(1, "0s"), (Retry{"5xx", 1, std::nullopt}));
  EXPECT_EQ(*Of(1LL << 40, ""), (Retry{"5xx", 0xffffffff, std::nullopt}));
}

TEST(ParseRetry, WhatIsNoHeaderValueIsNamed) {
  const auto retry = ParseRetry({.retry_on = "5xx\r\n", .count = {}, .field = "retryOn"});
  EXPECT_EQ(Message(retry.status()), "retryOn: contains a line end or NUL; nothing is retried");
}

}  // namespace
}  // namespace contour::graph
