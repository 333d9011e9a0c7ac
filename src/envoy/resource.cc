// SPDX-License-Identifier: Apache-2.0
#include "envoy/resource.h"

namespace contour::envoy {
namespace {

// Appends a base-128 integer of protobuf, low groups first.
void AppendVarint(std::uint64_t value, std::string* bytes) {
  while (value >= 0x80) {
    bytes->push_back(static_cast<char>((value & 0x7f) | 0x80));
    value >>= 7;
  }
  bytes->push_back(static_cast<char>(value));
}

}  // namespace

void AppendPart(std::uint32_t field, std::string_view part, std::string* bytes) {
  constexpr std::uint64_t kLengthDelimited = 2;  // wire type
  AppendVarint((std::uint64_t{field} << 3) | kLengthDelimited, bytes);
  AppendVarint(part.size(), bytes);
  bytes->append(part);
}

}  // namespace contour::envoy
