// SPDX-License-Identifier: Apache-2.0
// Finds places in a text and in a document, for error messages.

#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"

namespace contour {

// A place in a text. Lines and columns count from 1, as in editors; columns are bytes.
struct Position {
  int line = 1;
  int column = 1;

  bool operator==(const Position&) const = default;
};

// Returns the position of byte `offset` of the text. An offset after the end counts as the end.
Position PositionAt(std::string_view text, std::size_t offset);

// Returns kInvalidArgument, "line 3, column 7: …".
absl::Status ErrorAt(Position position, std::string_view problem);

// Returns the steps of a field path in the form of api::FieldError: `spec.routes[1]["a.b"]` →
// "spec", "routes", 1, "a.b".
using FieldStep = std::variant<std::string, std::size_t>;
std::vector<FieldStep> SplitFieldPath(std::string_view path);

// Returns an error at the first control character or byte that is not UTF-8. yaml-cpp accepts both
// silently, and takes 0x04 for the end of the text.
absl::Status CheckCharacters(std::string_view text);

}  // namespace contour
