// SPDX-License-Identifier: Apache-2.0
// Places in a JSON text, which simdjson's elements don't know. Only for error messages: each call
// reads the text again.

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "base/position.h"

namespace contour::file {

// Why and where `text`, which simdjson refused with `reason`, is not JSON. Never quotes the text
// (it may be a Secret).
absl::Status JsonSyntaxError(std::string_view text, std::string_view reason);

// Of the field, or of the innermost thing around it that is there. REQUIRES: `text` is JSON.
Position FindInJson(std::string_view text, std::string_view path);

// An error at the second of two equal keys of one object; ok if there is none. REQUIRES: `text` is
// JSON.
absl::Status CheckDuplicateKeys(std::string_view text);

}  // namespace contour::file
