// SPDX-License-Identifier: Apache-2.0

#include "file/json_text.h"

#include <fmt/core.h>

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/strings.h"

namespace contour::file {
namespace {

// Walks over text that is known to be JSON. Escapes in keys are left as they are, so two spellings
// of one key count as two keys.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) { SkipSpace(); }

  std::size_t offset() const { return at_; }
  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  // Returns true if there is a first member. REQUIRES: at `{` or `[`.
  bool Open() {
    const char close = Peek() == '{' ? '}' : ']';
    Advance();
    if (Peek() != close) return true;
    Advance();
    return false;
  }
  // Returns true if there is another member; leaves the object or list if not. REQUIRES: after a
  // member.
  bool Next() {
    const bool more = Peek() == ',';
    Advance();
    return more;
  }
  // Returns the key and goes to its value. REQUIRES: at a key.
  std::string_view Key() {
    const std::string_view key = String();
    Advance();  // the colon
    return key;
  }
  // Skips a value. REQUIRES: at a value.
  void SkipValue() {
    int depth = 0;
    do {
      switch (Peek()) {
        case '"':
          String();
          break;
        case '{':
        case '[':
          ++depth;
          Advance();
          break;
        case '}':
        case ']':
          --depth;
          Advance();
          break;
        case ',':
        case ':':
          Advance();
          break;
        default:
          at_ = std::min(text_.find_first_of(",:]} \t\r\n", at_), text_.size());
          SkipSpace();
      }
    } while (depth > 0 && at_ < text_.size());
  }

 private:
  void SkipSpace() { at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size()); }
  void Advance() {
    if (at_ < text_.size()) ++at_;
    SkipSpace();
  }
  std::string_view String() {
    const std::size_t start = ++at_;
    while (at_ < text_.size() && text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
    const std::size_t end = std::min(at_, text_.size());
    at_ = end;
    Advance();
    return text_.substr(start, end - start);
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

absl::Status JsonSyntaxError(std::string_view text, std::string_view reason) {
  if (absl::Status status = CheckCharacters(text); !status.ok()) return status;
  try {
    [[maybe_unused]] const auto unused = nlohmann::json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    // The message has the form "[json.exception…] parse error at line 1, column 2: syntax error
    // while parsing … - WHY; last read: 'TEXT'…".
    std::string_view why = error.what();
    why = why.substr(0, why.find("; last read"));
    const std::size_t start = why.find("syntax error ");
    why = start == std::string_view::npos ? reason : why.substr(start);
    return ErrorAt(PositionAt(text, error.byte == 0 ? 0 : error.byte - 1),
                   fmt::format("not JSON: {}", why));
  } catch (const std::exception&) {
    // nlohmann gives no place for this error.
  }
  return ErrorAt({}, fmt::format("not JSON: {}", reason));
}

Position FindInJson(std::string_view text, std::string_view path) {
  Scanner scanner(text);
  std::size_t found = scanner.offset();
  for (const FieldStep& step : SplitFieldPath(path)) {
    const std::size_t* index = std::get_if<std::size_t>(&step);
    if (scanner.Peek() != (index != nullptr ? '[' : '{')) break;
    bool more = scanner.Open();
    for (std::size_t i = 0; more; ++i) {
      if (index != nullptr ? i == *index : scanner.Key() == std::get<std::string>(step)) break;
      scanner.SkipValue();
      more = scanner.Next();
    }
    if (!more) break;
    found = scanner.offset();
  }
  return PositionAt(text, found);
}

absl::Status CheckDuplicateKeys(std::string_view text) {
  Scanner scanner(text);
  // The objects and lists around the current place; the set of a list stays empty.
  struct Level {
    bool is_object;
    std::unordered_set<std::string_view> keys;
  };
  std::vector<Level> levels;
  while (true) {
    // The scanner is at a value, or at a key and then at its value.
    if (!levels.empty() && levels.back().is_object) {
      const std::size_t offset = scanner.offset();
      const std::string_view key = scanner.Key();
      if (!levels.back().keys.insert(key).second) {
        return ErrorAt(PositionAt(text, offset), fmt::format("key {} given twice", Quote(key)));
      }
    }
    const char first = scanner.Peek();
    if (first == '{' || first == '[') {
      if (scanner.Open()) {
        levels.push_back({first == '{', {}});
        continue;
      }
    } else {
      scanner.SkipValue();
    }
    while (!levels.empty() && !scanner.Next()) levels.pop_back();
    if (levels.empty()) return absl::OkStatus();
  }
}

}  // namespace contour::file
