// SPDX-License-Identifier: Apache-2.0
// Places in a text and in a document, for error messages.

#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"

namespace contour {

// Both from 1, as editors count; columns in bytes.
struct Position {
  int line = 1;
  int column = 1;

  bool operator==(const Position&) const = default;
};

// Where byte `offset` of the text is. An offset behind the end is the end.
Position PositionAt(std::string_view text, std::size_t offset);

// kInvalidArgument, "line 3, column 7: …".
absl::Status ErrorAt(Position position, std::string_view problem);

// The steps of a field path as api::FieldError has it: `spec.routes[1]["a.b"]` → "spec", "routes",
// 1, "a.b".
using FieldStep = std::variant<std::string, std::size_t>;
std::vector<FieldStep> SplitFieldPath(std::string_view path);

// An error at the first control character or byte that is not UTF-8. yaml-cpp takes both silently
// (and 0x04 for the end of the text).
absl::Status CheckCharacters(std::string_view text);

}  // namespace contour
