// SPDX-License-Identifier: Apache-2.0

#include "crypto/digest.h"

#include <openssl/evp.h>

#include <array>
#include <cstddef>

namespace contour::crypto {
namespace {

std::string HexDigest(const EVP_MD* algorithm, std::string_view data) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  // It fails only without memory; then there are no digits.
  if (algorithm == nullptr ||
      EVP_Digest(data.data(), data.size(), digest.data(), &size, algorithm, nullptr) != 1) {
    size = 0;
  }
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  hex.reserve(std::size_t{size} * 2);
  for (unsigned int i = 0; i < size; ++i) {
    hex += kDigits[digest[i] >> 4];
    hex += kDigits[digest[i] & 15];
  }
  return hex;
}

}  // namespace

// The algorithms are looked up once, since a look-up takes longer than digesting a short text.
std::string HexSHA256(std::string_view data) {
  static const EVP_MD* const kAlgorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return HexDigest(kAlgorithm, data);
}

std::string HexSHA1(std::string_view data) {
  static const EVP_MD* const kAlgorithm = EVP_MD_fetch(nullptr, "SHA1", nullptr);
  return HexDigest(kAlgorithm, data);
}

}  // namespace contour::crypto
