// SPDX-License-Identifier: Apache-2.0
// The log: one line an event on stderr, `time=… level=… msg="…" context=… key=value`. Any thread.
//
//   log::Info("file", "manifest applied", {{"path", path}, {"objects", count}});
//
// Only the rooms at the edges log; graph/ and envoy/ return what they have to say. Never give it
// Secret data.

#pragma once

#include <fmt/core.h>

#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

namespace contour::log {

enum class Level { kDebug, kInfo, kWarning, kError };

struct Field {
  template <typename Value>
  Field(std::string_view name, const Value& v) : key(name), value(fmt::format("{}", v)) {}

  std::string_view key;
  std::string value;
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

}  // namespace contour::log
