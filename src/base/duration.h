// SPDX-License-Identifier: Apache-2.0
// Durations as Go writes them: "1m30s", "250ms", "-1.5h", "0". "90" has no unit and is refused.

#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace contour {

// nullopt: not a duration ("inf", an empty text and what overflows are none either).
std::optional<std::chrono::nanoseconds> ParseDuration(std::string_view text);

}  // namespace contour
