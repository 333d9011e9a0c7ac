// SPDX-License-Identifier: Apache-2.0
// libFuzzer target: any bytes as a snapshot file, and as the records of one whose frame and
// checksum are right. What is taken is written again to the same version.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "xds/snapshot/snapshot_file.h"

namespace {

using contour::HashPair;

void Check(std::string_view file) {
  const auto saved = contour::xds::DecodeSnapshot(file);
  if (!saved.ok()) return;
  const auto again =
      contour::xds::DecodeSnapshot(contour::xds::EncodeSnapshot(*saved->snapshot, saved->written));
  if (!again.ok() || again->snapshot->Version() != saved->snapshot->Version()) std::abort();
}

void AddNumber(std::string& out, std::uint64_t value, int size) {
  for (int i = 0; i < size; ++i) out += static_cast<char>(value >> (8 * i));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Check(bytes);
  if (bytes.empty()) return 0;
  std::string file = "contour snapshot\n";
  AddNumber(file, 1, 4);
  AddNumber(file, bytes.size(), 4);
  file += bytes;
  AddNumber(file, 0, 4);
  const contour::Hash128 checksum = HashPair(contour::Hash128().Hex(), bytes);
  AddNumber(file, checksum.high, 8);
  AddNumber(file, checksum.low, 8);
  Check(file);
  return 0;
}
