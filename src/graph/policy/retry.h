// SPDX-License-Identifier: Apache-2.0
// Retry behaviour of a route.

#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "graph/model/route.h"

namespace contour::graph {

struct RetrySpec {
  std::string_view retry_on = "5xx";  // Envoy's list, not empty
  // After the first try; below 1 means 1. nullopt: Envoy's default.
  std::optional<std::int64_t> count;
  std::string_view per_try_timeout;  // left out if it is no duration or not positive
  std::string_view field;            // the path of `retry_on`
};

// Errors: kInvalidArgument if Envoy can't take `retry_on`.
absl::StatusOr<Retry> ParseRetry(const RetrySpec& spec);

}  // namespace contour::graph
