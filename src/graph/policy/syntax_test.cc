// SPDX-License-Identifier: Apache-2.0

#include "graph/policy/syntax.h"

#include <gtest/gtest.h>

#include <string>

namespace contour::graph {
namespace {

TEST(IsHostName, Table) {
  for (const char* host :
       {"a", "a.b", "foo-bar.example.com", "_x.example", "10.0.0.1", "xn--p1ai"}) {
    EXPECT_TRUE(IsHostName(host)) << host;
  }
  for (const std::string& host :
       {std::string(), std::string("."), std::string(".a"), std::string("a."), std::string("a..b"),
        std::string("a:80"), std::string("A.b"), std::string("*"), std::string("a.*.b"),
        std::string("a b"), std::string("caf\xc3\xa9.example"), std::string("a\0b", 3),
        std::string(64, 'a'),
        std::string(60, 'a') + "." + std::string(60, 'a') + "." + std::string(60, 'a') + "." +
            std::string(60, 'a') + "." + std::string(60, 'a')}) {
    EXPECT_FALSE(IsHostName(host)) << host;
  }
}

}  // namespace
}  // namespace contour::graph
