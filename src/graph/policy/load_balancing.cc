// SPDX-License-Identifier: Apache-2.0

#include "graph/policy/load_balancing.h"

#include <string>

namespace contour::graph {

LoadBalancing ParseLoadBalancing(const LoadBalancingSpec& spec) {
  using Strategy = LoadBalancing::Strategy;
  LoadBalancing made{.written = std::string(spec.strategy)};
  if (spec.strategy == "WeightedLeastRequest") made.strategy = Strategy::kLeastRequest;
  if (spec.strategy == "Random") made.strategy = Strategy::kRandom;
  if (spec.strategy == "Cookie") made.strategy = Strategy::kCookie;
  return made;
}

}  // namespace contour::graph
