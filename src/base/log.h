// SPDX-License-Identifier: Apache-2.0
// Writes the log: one line for each event, on stderr. The functions may be called on any thread.
//
// Example, given `const std::string& path` and `int count`:
//   log::Info("file", "manifest applied", {{"path", path}, {"objects", count}});
//
// This is one of the two lines, depending on the format:
//
//   time="2026-11-24T11:53:07.581Z" level=info msg="manifest applied" context=file path=a.yaml
//   {"time":"2026-11-24T11:53:07.581Z","level":"info","msg":"manifest applied","context":"file",…}
//
// An event about an object has the fields kind, namespace and name. Pure rooms (graph/, envoy/)
// don't log: they return their findings. Never log Secret data.

#pragma once

#include <fmt/core.h>

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

namespace contour::log {

enum class Level { kDebug, kInfo, kWarning, kError };

// Returns "debug", "info", "warning" or "error".
std::string_view LevelName(Level level);
std::optional<Level> ParseLevel(std::string_view name);

enum class Format { kText, kJson };  // each line has key=value pairs, or is a JSON object

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

// Writes a line. `context` names the room or worker that logs.
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

// Sets the format, by default kText. To be called before other threads log.
void SetFormat(Format format);

// Returns the line that Write makes, without time, level and line end; for tests.
std::string FormatLine(Format format, std::string_view context, std::string_view message,
                       Fields fields);

}  // namespace contour::log
