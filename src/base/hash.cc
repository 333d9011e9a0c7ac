// SPDX-License-Identifier: Apache-2.0

#include "base/hash.h"

#include <fmt/core.h>
#include <xxhash.h>

namespace contour {

std::string Hash128::Hex() const { return fmt::format("{:016x}{:016x}", high, low); }

Hash128 HashBytes(std::string_view bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.high64, hash.low64};
}

Hash128 HashPair(std::string_view first, std::string_view second) {
  const XXH64_hash_t seed = XXH3_64bits(first.data(), first.size());
  const XXH128_hash_t hash = XXH3_128bits_withSeed(second.data(), second.size(), seed);
  return {hash.high64, hash.low64};
}

}  // namespace contour
