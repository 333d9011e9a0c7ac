// SPDX-License-Identifier: Apache-2.0

#include "graph/policy/circuit_breakers.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "graph/policy/testing.h"

namespace contour::graph {
namespace {

TEST(ParseCircuitBreakers, PerHostOfTheNewPrefixOnly) {
  const std::string name = "per-host-max-connections";
  EXPECT_EQ(
      ParseCircuitBreakers(With({{"projectcontour.io/" + name, "7"}})).per_host_max_connections,
      7U);
  EXPECT_EQ(ParseCircuitBreakers(With({{"projectcontour.io/" + name, "0"}})), CircuitBreakers());
  EXPECT_EQ(ParseCircuitBreakers(With({{"contour.heptio.com/" + name, "7"}})), CircuitBreakers());
}

}  // namespace
}  // namespace contour::graph
