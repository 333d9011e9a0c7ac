// SPDX-License-Identifier: Apache-2.0
// The time for a whole response.

#pragma once

#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "graph/model/route.h"

namespace contour::graph {

struct TimeoutSpec {
  std::string_view text;   // as written
  std::string_view field;  // its path
};

// Returns nullopt for Envoy's default, which "" and zero mean. "infinity" and "infinite" mean none.
// Negative times pass as they are. Errors: kInvalidArgument if the text is no duration.
absl::StatusOr<std::optional<Timeout>> ParseTimeout(const TimeoutSpec& spec);

}  // namespace contour::graph
