// SPDX-License-Identifier: Apache-2.0
// Computes the weights of the clusters of one route or TCP proxy.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "envoy/names.h"
#include "graph/model/cluster.h"

namespace contour::envoy {

struct Share {
  std::string cluster;  // the name of the cluster
  std::uint32_t weight = 0;

  auto operator<=>(const Share&) const = default;
};

// Returns the shares in the order of names, then weights; duplicates stay. Weights are as given; if
// all are 0, each is 1 (an even split). Envoy takes no sum above 2^32 - 1: greater sums are scaled
// down, and a weight that wasn't 0 doesn't become 0.
std::vector<Share> Shares(const std::vector<graph::WeightedCluster>& clusters, ClusterNamer& namer);

}  // namespace contour::envoy
