// SPDX-License-Identifier: Apache-2.0
// Hash of content: the same bytes give the same value in every process and replica (versions are
// made of it).

#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace contour {

// 128 bits of XXH3. Hashes of the members of a set may be added and subtracted, which gives the
// hash of the set in time that follows the change: addition is modulo 2^64 in each half and doesn't
// depend on the order.
struct Hash128 {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  auto operator<=>(const Hash128&) const = default;
  Hash128& operator+=(const Hash128& other) {
    high += other.high;
    low += other.low;
    return *this;
  }
  Hash128& operator-=(const Hash128& other) {
    high -= other.high;
    low -= other.low;
    return *this;
  }
  std::string Hex() const;  // 32 lower-case digits
};

Hash128 HashBytes(std::string_view bytes);

// Of a pair, so that ("ab", "c") and ("a", "bc") differ.
Hash128 HashPair(std::string_view first, std::string_view second);

}  // namespace contour
