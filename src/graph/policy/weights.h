// SPDX-License-Identifier: Apache-2.0
// The weight of a service among those of a route.

#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"

namespace contour::graph {

struct WeightSpec {
  std::int64_t weight = 0;
  std::string_view field;  // its path
};

// Errors: kInvalidArgument if it is negative or above 1,000,000.
absl::StatusOr<std::uint32_t> ParseWeight(const WeightSpec& spec);

}  // namespace contour::graph
