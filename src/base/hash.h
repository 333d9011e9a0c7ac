// SPDX-License-Identifier: Apache-2.0
// Hashes content: the same bytes give the same value in every process and replica. Versions of xDS
// resources are such hashes.

#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace contour {

// 128 bits of XXH3. Hashes of the members of a set may be added and subtracted to get the hash of
// the set, at a cost that follows the change: addition is modulo 2^64 in each half and doesn't
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

// Returns the hash of a pair. Those of ("ab", "c") and ("a", "bc") differ.
Hash128 HashPair(std::string_view first, std::string_view second);

}  // namespace contour
