// SPDX-License-Identifier: Apache-2.0

#include "base/duration.h"

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace contour {

std::optional<std::chrono::nanoseconds> ParseDuration(std::string_view text) {
  absl::Duration duration;
  if (!absl::ParseDuration(absl::string_view(text.data(), text.size()), &duration))
    return std::nullopt;
  // absl's grammar is Go's plus "inf"; what doesn't fit saturates in the conversion.
  const std::chrono::nanoseconds result = absl::ToChronoNanoseconds(duration);
  if (result == std::chrono::nanoseconds::max() || result == std::chrono::nanoseconds::min())
    return std::nullopt;
  return result;
}

}  // namespace contour
