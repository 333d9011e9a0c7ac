// SPDX-License-Identifier: Apache-2.0

#include "graph/policy/weights.h"

#include "base/status.h"

namespace contour::graph {

absl::StatusOr<std::uint32_t> ParseWeight(const WeightSpec& spec) {
  if (spec.weight < 0)
    return InvalidArgument("{} must be greater than or equal to zero", spec.field);
  // Envoy sums the weights of a route in 32 bits.
  if (spec.weight > 1'000'000)
    return InvalidArgument("{} must be less than or equal to 1000000", spec.field);
  return static_cast<std::uint32_t>(spec.weight);
}

}  // namespace contour::graph
