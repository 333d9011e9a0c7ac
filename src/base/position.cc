// SPDX-License-Identifier: Apache-2.0

#include "base/position.h"

#include <fmt/core.h>
#include <simdjson.h>

#include <algorithm>

#include "base/status.h"

namespace contour {

Position PositionAt(std::string_view text, std::size_t offset) {
  const std::string_view before = text.substr(0, offset);
  const std::size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  return {static_cast<int>(std::count(before.begin(), before.end(), '\n')) + 1,
          static_cast<int>(before.size() - line_start) + 1};
}

absl::Status ErrorAt(Position position, std::string_view problem) {
  return InvalidArgument("line {}, column {}: {}", position.line, position.column, problem);
}

std::vector<FieldStep> SplitFieldPath(std::string_view path) {
  std::vector<FieldStep> steps;
  while (!path.empty()) {
    if (path.starts_with("[\"")) {
      const std::size_t end = path.find("\"]", 2);
      if (end == std::string_view::npos) break;
      steps.emplace_back(std::string(path.substr(2, end - 2)));
      path.remove_prefix(end + 2);
    } else if (path.front() == '[') {
      std::size_t index = 0;
      for (path.remove_prefix(1); !path.empty() && path.front() != ']'; path.remove_prefix(1)) {
        index = index * 10 + static_cast<std::size_t>(path.front() - '0');
      }
      steps.emplace_back(index);
      path.remove_prefix(std::min<std::size_t>(1, path.size()));
    } else {
      if (path.front() == '.') path.remove_prefix(1);
      const std::size_t end = std::min(path.find_first_of(".["), path.size());
      steps.emplace_back(std::string(path.substr(0, end)));
      path.remove_prefix(end);
    }
  }
  return steps;
}

absl::Status CheckCharacters(std::string_view text) {
  const auto is_control = [](char c) {
    return static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' && c != '\r';
  };
  const auto control = std::find_if(text.begin(), text.end(), is_control);
  if (control != text.end()) {
    return ErrorAt(PositionAt(text, static_cast<std::size_t>(control - text.begin())),
                   fmt::format("control character 0x{:02x}", static_cast<unsigned char>(*control)));
  }
  if (simdjson::validate_utf8(text.data(), text.size())) return absl::OkStatus();
  // Lines end with an ASCII character, so no line ends inside a character.
  std::size_t start = 0;
  while (start < text.size()) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    if (!simdjson::validate_utf8(text.data() + start, end - start)) break;
    start = end + 1;
  }
  return ErrorAt(PositionAt(text, start), "not UTF-8");
}

}  // namespace contour
