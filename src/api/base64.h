// SPDX-License-Identifier: Apache-2.0
// Decodes base64 as in the data of Secrets: the standard alphabet with padding (RFC 4648 §4). Line
// ends between the characters are ignored, as the API server does.

#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace contour::api {

// Returns the decoded bytes, nullopt if `text` isn't base64. There is no error message, so that no
// secret text can end up in one.
std::optional<std::string> DecodeBase64(std::string_view text);

}  // namespace contour::api
