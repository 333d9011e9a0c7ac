// SPDX-License-Identifier: Apache-2.0
// Parses durations in the form of Go: "1m30s", "250ms", "-1.5h", "0". "90" has no unit and is
// refused.

#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace contour {

// Returns nullopt if `text` isn't a duration. "inf", an empty text and a value that overflows
// aren't durations either.
std::optional<std::chrono::nanoseconds> ParseDuration(std::string_view text);

}  // namespace contour
