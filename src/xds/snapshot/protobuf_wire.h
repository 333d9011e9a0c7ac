// SPDX-License-Identifier: Apache-2.0
// Length-delimited fields of the protobuf wire format, for messages put together from serialised
// pieces. https://protobuf.dev/programming-guides/encoding/

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace contour::xds::wire {

constexpr std::size_t VarintSize(std::uint64_t value) {
  std::size_t size = 1;
  for (; value >= 0x80; value >>= 7) ++size;
  return size;
}

inline void AppendVarint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

constexpr std::uint64_t Tag(std::uint32_t field) { return (std::uint64_t{field} << 3) | 2; }

// Tag, length and `length` bytes.
constexpr std::size_t FieldSize(std::uint32_t field, std::size_t length) {
  return VarintSize(Tag(field)) + VarintSize(length) + length;
}

// Tag and length; the bytes follow.
inline void AppendFieldHead(std::string& out, std::uint32_t field, std::size_t length) {
  AppendVarint(out, Tag(field));
  AppendVarint(out, length);
}

inline void AppendField(std::string& out, std::uint32_t field, std::string_view bytes) {
  AppendFieldHead(out, field, bytes.size());
  out += bytes;
}

}  // namespace contour::xds::wire
