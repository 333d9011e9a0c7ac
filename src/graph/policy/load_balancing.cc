// SPDX-License-Identifier: Apache-2.0

#include "graph/policy/load_balancing.h"

#include <string>

namespace contour::graph {

LoadBalancing ParseLoadBalancing(const LoadBalancingSpec& spec) {
  return {.written = std::string(spec.strategy)};
}

}  // namespace contour::graph
