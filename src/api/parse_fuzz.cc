// SPDX-License-Identifier: Apache-2.0
// libFuzzer target: parses any bytes as the JSON of an object. An accepted object must equal itself
// and have a name.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "api/parse.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using contour::api::Parser;
  static Parser parser;
  const auto parsed = parser.Parse({reinterpret_cast<const char*>(data), size});
  if (parsed.ok() && parsed->object != nullptr) {
    if (!contour::api::SameMeaning(*parsed->object, *parsed->object)) std::abort();
    if (parsed->object->meta.name.empty()) std::abort();
  }
  return 0;
}
