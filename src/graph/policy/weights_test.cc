// SPDX-License-Identifier: Apache-2.0

#include "graph/policy/weights.h"

#include <gtest/gtest.h>

#include "base/status.h"

namespace contour::graph {
namespace {

TEST(ParseWeight, Table) {
  EXPECT_EQ(*ParseWeight({0, "weight"}), 0U);
  EXPECT_EQ(*ParseWeight({1'000'000, "weight"}), 1'000'000U);
  EXPECT_EQ(Message(ParseWeight({-1, "weight"}).status()),
            "weight must be greater than or equal to zero");
  EXPECT_EQ(Message(ParseWeight({1'000'001, "weight"}).status()),
            "weight must be less than or equal to 1000000");
}

}  // namespace
}  // namespace contour::graph
