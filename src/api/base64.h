// SPDX-License-Identifier: Apache-2.0
// Base64 as the data of Secrets has it: the standard alphabet with padding (RFC 4648 §4), line ends
// between the characters ignored, as by the API server.

#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace contour::api {

// nullopt: not base64. There is no message, so that no secret text can end up in one.
std::optional<std::string> DecodeBase64(std::string_view text);

}  // namespace contour::api
