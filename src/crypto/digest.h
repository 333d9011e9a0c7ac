// SPDX-License-Identifier: Apache-2.0
// Digests as text, for names that are made of content.
//
// Example:
//   const std::string name = "a-" + HexSHA256("content").substr(0, 10);

#pragma once

#include <string>
#include <string_view>

namespace contour::crypto {

// Return lower-case hexadecimal digits, 64 and 40 of them. Any thread.
std::string HexSHA256(std::string_view data);
std::string HexSHA1(std::string_view data);

}  // namespace contour::crypto
