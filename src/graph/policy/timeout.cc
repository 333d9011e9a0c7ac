// SPDX-License-Identifier: Apache-2.0

#include "graph/policy/timeout.h"

#include <chrono>

#include "base/duration.h"
#include "base/status.h"
#include "base/strings.h"

namespace contour::graph {

absl::StatusOr<std::optional<Timeout>> ParseTimeout(const TimeoutSpec& spec) {
  if (spec.text.empty()) return std::nullopt;
  if (spec.text == "infinity" || spec.text == "infinite") return Timeout{.infinite = true};
  const std::optional<std::chrono::nanoseconds> duration = ParseDuration(spec.text);
  if (!duration)
    return InvalidArgument("{}: expected a duration, got {}", spec.field, Quote(spec.text));
  if (duration->count() == 0) return std::nullopt;
  return Timeout{.duration = *duration};
}

}  // namespace contour::graph
