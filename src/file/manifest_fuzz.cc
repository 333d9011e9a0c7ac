// SPDX-License-Identifier: Apache-2.0
// libFuzzer target: parses any bytes as a manifest; the first one chooses the format. Errors must
// name a place.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/status.h"
#include "file/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using contour::file::Format;
  if (size == 0) return 0;
  const Format format = data[0] % 2 == 0 ? Format::kYaml : Format::kJson;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto objects = contour::file::ParseManifest(text, format, "default",
                                                    {.max_json_bytes = 1 << 20, .max_depth = 50});
  if (!objects.ok() && !contour::Message(objects.status()).starts_with("line ")) std::abort();
  return 0;
}
