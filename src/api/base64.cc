// SPDX-License-Identifier: Apache-2.0

#include "api/base64.h"

#include <array>
#include <cstdint>

namespace contour::api {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t kNotInAlphabet = 64;

constexpr std::array<std::uint8_t, 256> kValues = [] {
  std::array<std::uint8_t, 256> values{};
  values.fill(kNotInAlphabet);
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
    values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::uint8_t>(i);
  }
  return values;
}();

}  // namespace

std::optional<std::string> DecodeBase64(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size() / 4 * 3);
  std::uint32_t group = 0;  // up to four characters of six bits
  int length = 0;           // characters in it, padding included
  int padding = 0;
  for (const char c : text) {
    if (c == '\n' || c == '\r') continue;
    if (c == '=') {
      if (length < 2) return std::nullopt;
      ++padding;
      group <<= 6;
    } else {
      const std::uint8_t value = kValues[static_cast<unsigned char>(c)];
      if (value == kNotInAlphabet || padding > 0) return std::nullopt;
      group = group << 6 | value;
    }
    if (++length < 4) continue;
    decoded += static_cast<char>(group >> 16 & 0xff);
    if (padding < 2) decoded += static_cast<char>(group >> 8 & 0xff);
    if (padding < 1) decoded += static_cast<char>(group & 0xff);
    group = 0;
    // `padding` stays set, since only line ends may follow it.
    length = 0;
  }
  if (length != 0) return std::nullopt;
  return decoded;
}

}  // namespace contour::api
