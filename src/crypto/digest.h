// SPDX-License-Identifier: Apache-2.0
// Makes digests as text, for names that follow from content.
//
// Example:
//   const std::string name = "a-" + HexSHA256("content").substr(0, 10);

#pragma once

#include <string>
#include <string_view>

namespace contour::crypto {

// These return 64 and 40 lower-case hexadecimal digits. They may be called on any thread.
std::string HexSHA256(std::string_view data);
std::string HexSHA1(std::string_view data);

}  // namespace contour::crypto
