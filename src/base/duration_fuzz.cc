// SPDX-License-Identifier: Apache-2.0
// libFuzzer target: parses any text as a duration. An accepted text has digits, and with a minus
// sign before it the duration is negated.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/duration.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto duration = contour::ParseDuration(text);
  if (!duration) return 0;
  if (text.find_first_of("0123456789") == std::string_view::npos) std::abort();
  if (text.front() == '-' || text.front() == '+') return 0;
  if (*duration < duration->zero()) std::abort();
  if (contour::ParseDuration("-" + std::string(text)) != -*duration) std::abort();
  return 0;
}
