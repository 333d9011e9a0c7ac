// SPDX-License-Identifier: Apache-2.0

#include "graph/policy/annotation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace contour::graph {
namespace {

api::Meta With(std::vector<std::pair<std::string, std::string>> annotations) {
  api::Meta meta;
  meta.annotations = std::move(annotations);
  std::sort(meta.annotations.begin(), meta.annotations.end());
  return meta;
}

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
