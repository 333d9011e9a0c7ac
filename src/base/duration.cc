// SPDX-License-Identifier: Apache-2.0

#include "base/duration.h"

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace contour {

std::optional<std::chrono::nanoseconds> ParseDuration(std::string_view text) {
  absl::Duration duration;
  if (!absl::ParseDuration(absl::string_view(text.data(), text.size()), &duration))
    return std::nullopt;
  // The grammar of Abseil is that of Go and "inf"; a value that doesn't fit saturates.
  const std::chrono::nanoseconds result = absl::ToChronoNanoseconds(duration);
  if (result == std::chrono::nanoseconds::max() || result == std::chrono::nanoseconds::min())
    return std::nullopt;
  return result;
}

}  // namespace contour
