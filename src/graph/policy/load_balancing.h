// SPDX-License-Identifier: Apache-2.0
// How requests are spread over the endpoints of a service.

#pragma once

#include <string_view>

#include "graph/model/cluster.h"

namespace contour::graph {

struct LoadBalancingSpec {
  std::string_view strategy;  // as written
};

// WeightedLeastRequest, Random and Cookie are known; whatever else means round robin.
LoadBalancing ParseLoadBalancing(const LoadBalancingSpec& spec);

}  // namespace contour::graph
