// SPDX-License-Identifier: Apache-2.0

#include "graph/engine/index.h"

#include <gtest/gtest.h>

namespace contour::graph {
namespace {

TEST(Index, AValueStaysUntilTheLastObjectThatGivesItHasGone) {
  const IndexKey key{"default", "tls"};
  Index index;
  index.Add({{key, "a"}, {key, "b"}});
  index.Add({{key, "a"}, {key, "a"}});
  EXPECT_TRUE(index.Contains(key, "a"));
  EXPECT_TRUE(index.Contains(key, "b"));
  EXPECT_FALSE(index.Contains(key, "c"));
  EXPECT_FALSE(index.Contains({"other", "tls"}, "a"));
  index.Remove({{key, "a"}, {key, "b"}});
  EXPECT_TRUE(index.Contains(key, "a"));
  EXPECT_FALSE(index.Contains(key, "b"));
  index.Remove({{key, "a"}, {key, "a"}});
  EXPECT_FALSE(index.Contains(key, "a"));
}

}  // namespace
}  // namespace contour::graph
