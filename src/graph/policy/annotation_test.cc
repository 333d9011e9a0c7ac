// SPDX-License-Identifier: Apache-2.0

#include "graph/policy/annotation.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "graph/policy/testing.h"

namespace contour::graph {
namespace {

TEST(ClassAnnotation, OrderOfPrefixes) {
  EXPECT_EQ(ClassAnnotation(With({})), std::nullopt);
  EXPECT_EQ(ClassAnnotation(With({{"kubernetes.io/ingress.class", "nginx"}})), "nginx");
  EXPECT_EQ(ClassAnnotation(With({{"kubernetes.io/ingress.class", "nginx"},
                                  {"contour.heptio.com/ingress.class", "x"}})),
            "x");
  EXPECT_EQ(ClassAnnotation(With({{"contour.heptio.com/ingress.class", "x"},
                                  {"projectcontour.io/ingress.class", "y"}})),
            "y");
  EXPECT_EQ(ClassAnnotation(With({{"kubernetes.io/ingress.class", "nginx"},
                                  {"contour.heptio.com/ingress.class", ""}})),
            std::nullopt)
      << "a present key decides, also with an empty value";
}

}  // namespace
}  // namespace contour::graph
