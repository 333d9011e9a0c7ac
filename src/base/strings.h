// SPDX-License-Identifier: Apache-2.0
// Text helpers that the standard library lacks.

#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace contour {

// Hash for maps keyed by std::string that are looked up by std::string_view without a copy.
struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};
template <typename Value>
using StringMap = std::unordered_map<std::string, Value, StringHash, std::equal_to<>>;
using StringSet = std::unordered_set<std::string, StringHash, std::equal_to<>>;

// Returns the text as Go's %q does: in double quotes, with `"` and `\` escaped and control
// characters as \n, \t, \x... Status texts use it.
std::string Quote(std::string_view text);

// True if the text has an ASCII control character.
bool HasControlCharacter(std::string_view text);

// Returns a text of somebody else for a message: as it is, or quoted if it would break the line.
std::string OneLine(std::string_view text);

// Returns the texts between separators, trimmed and without empty ones: " a, ,b" → {"a", "b"}.
std::vector<std::string> SplitList(std::string_view text, char separator = ',');

// Returns the text in lower case (ASCII only). Host names, schemes and header names are compared
// so.
std::string LowerCase(std::string_view text);

// Returns the text without leading and trailing spaces, tabs and line ends.
std::string_view Trim(std::string_view text);

}  // namespace contour
