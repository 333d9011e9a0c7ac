// SPDX-License-Identifier: Apache-2.0

#include "graph/policy/timeout.h"

#include "base/duration.h"

namespace contour::graph {

std::optional<Timeout> ParseTimeout(std::string_view text) {
  if (text.empty()) return std::nullopt;
  const std::optional<std::chrono::nanoseconds> duration = ParseDuration(text);
  if (!duration) return Timeout{.infinite = true};
  if (duration->count() == 0) return std::nullopt;
  return Timeout{.duration = *duration};
}

}  // namespace contour::graph
