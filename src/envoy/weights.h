// SPDX-License-Identifier: Apache-2.0
// The shares of traffic of the clusters of one route or TCP proxy.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "envoy/names.h"
#include "graph/model/model.h"

namespace contour::envoy {

struct Share {
  std::string cluster;  // as `names` names it
  std::uint32_t weight = 0;

  auto operator<=>(const Share&) const = default;
};

// In the order of names, then weights; duplicates stay. Weights are as given; if all are 0, each is
// 1 (an even split). Envoy refuses a sum above 2^32 - 1: greater ones are scaled down, and what had
// a share keeps one.
std::vector<Share> Shares(const std::vector<graph::WeightedCluster>& clusters,
                          const Names& names = {});

}  // namespace contour::envoy
