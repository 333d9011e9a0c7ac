// SPDX-License-Identifier: Apache-2.0
// The log: one line an event on stderr. Any thread.
//
//   log::Info("file", "manifest applied", {{"path", path}, {"objects", count}});
//
//   time="2026-11-24T11:53:07.581Z" level=info msg="manifest applied" context=file path=a.yaml
//   {"time":"2026-11-24T11:53:07.581Z","level":"info","msg":"manifest applied","context":"file",…}
//
// An event about an object has the fields kind, namespace and name. Only the rooms at the edges
// log; graph/ and envoy/ return what they have to say. Never give it Secret data.

#pragma once

#include <fmt/core.h>

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

namespace contour::log {

enum class Level { kDebug, kInfo, kWarning, kError };

// "debug", "info", "warning", "error".
std::string_view LevelName(Level level);
std::optional<Level> ParseLevel(std::string_view name);

enum class Format { kText, kJson };  // key=value, or a JSON object, a line

struct Field {
  template <typename Value>
  Field(std::string_view name, const Value& v)
      : key(name),
        value(fmt::format("{}", v)),
        bare(std::is_arithmetic_v<Value> && !std::is_same_v<Value, char>) {}

  std::string_view key;
  std::string value;
  bool bare;  // a number or a bool
};
using Fields = std::initializer_list<Field>;

// `context` names the room or worker that speaks.
void Write(Level level, std::string_view context, std::string_view message, Fields fields);

inline void Debug(std::string_view context, std::string_view message, Fields fields = {}) {
  Write(Level::kDebug, context, message, fields);
}
inline void Info(std::string_view context, std::string_view message, Fields fields = {}) {
  Write(Level::kInfo, context, message, fields);
}
inline void Warning(std::string_view context, std::string_view message, Fields fields = {}) {
  Write(Level::kWarning, context, message, fields);
}
inline void Error(std::string_view context, std::string_view message, Fields fields = {}) {
  Write(Level::kError, context, message, fields);
}

void SetLevel(Level level);  // lines below it are dropped; default kInfo
Level GetLevel();

// Before other threads log; default kText.
void SetFormat(Format format);

// One line without its end, as Write makes it but for time and level; for tests.
std::string FormatLine(Format format, std::string_view context, std::string_view message,
                       Fields fields);

}  // namespace contour::log
