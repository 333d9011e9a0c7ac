// SPDX-License-Identifier: Apache-2.0
// The spread of requests over the endpoints of a service.

#pragma once

#include <string_view>

#include "graph/model/cluster.h"

namespace contour::graph {

struct LoadBalancingSpec {
  std::string_view strategy;  // as written
};

// LoadBalancing::strategy says what the texts mean.
LoadBalancing ParseLoadBalancing(const LoadBalancingSpec& spec);

}  // namespace contour::graph
