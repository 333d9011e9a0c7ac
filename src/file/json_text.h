// SPDX-License-Identifier: Apache-2.0
// Finds places in a JSON text, which simdjson's elements don't know. It is only for error messages:
// each call reads the text again.

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "base/position.h"

namespace contour::file {

// Returns an error that says where `text`, which simdjson refused with `reason`, is not JSON. It
// never quotes the text, which may be a Secret.
absl::Status JsonSyntaxError(std::string_view text, std::string_view reason);

// Returns the position of the field, or of the innermost value around it that exists. REQUIRES:
// `text` is JSON.
Position FindInJson(std::string_view text, std::string_view path);

// Returns an error at the second of two equal keys of one object; OK if there is none. REQUIRES:
// `text` is JSON.
absl::Status CheckDuplicateKeys(std::string_view text);

}  // namespace contour::file
