// SPDX-License-Identifier: Apache-2.0

#include "base/log.h"

#include <simdjson.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <atomic>
#include <memory>

#include "base/strings.h"

namespace contour::log {
namespace {

struct LevelRow {
  Level level;
  std::string_view name;
  spdlog::level::level_enum spdlog_level;
};
constexpr std::array<LevelRow, 4> kLevels = {{
    {Level::kDebug, "debug", spdlog::level::debug},
    {Level::kInfo, "info", spdlog::level::info},
    {Level::kWarning, "warning", spdlog::level::warn},
    {Level::kError, "error", spdlog::level::err},
}};

const LevelRow& RowOf(Level level) { return kLevels[static_cast<std::size_t>(level)]; }

std::atomic<Level> current_level = Level::kInfo;
std::atomic<Format> current_format = Format::kText;

constexpr const char* kTextPattern = "time=\"%Y-%m-%dT%H:%M:%S.%e%z\" level=%l %v";
// The message has the rest of the JSON object.
constexpr const char* kJsonPattern = "{\"time\":\"%Y-%m-%dT%H:%M:%S.%e%z\",\"level\":\"%l\",%v";

spdlog::logger& Logger() {
  static const std::shared_ptr<spdlog::logger> logger = [] {
    auto made = std::make_shared<spdlog::logger>("contour",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern(kTextPattern);
    made->set_level(spdlog::level::trace);  // current_level decides
    made->flush_on(spdlog::level::debug);
    return made;
  }();
  return *logger;
}

// Returns the value of a key=value pair, in quotes if it would be ambiguous without.
std::string TextValue(std::string_view text) {
  const bool bare = !text.empty() && text.find_first_of(" \t\n\r\"=\\") == std::string_view::npos;
  return bare ? std::string(text) : Quote(text);
}

// Returns a JSON string. If the text isn't UTF-8, every byte beyond ASCII becomes U+FFFD.
std::string JsonValue(std::string_view text) {
  const bool valid = simdjson::validate_utf8(text.data(), text.size());
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      quoted += fmt::format("\\u{:04x}", byte);
    } else if (byte >= 0x80 && !valid) {
      quoted += "\\ufffd";
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

// True if the field's number is one in JSON, which has no infinities.
bool IsJsonNumber(const Field& field) {
  return field.bare && (field.value == "true" || field.value == "false" ||
                        field.value.find_first_not_of("0123456789+-.e") == std::string::npos);
}

}  // namespace

std::string_view LevelName(Level level) { return RowOf(level).name; }

std::optional<Level> ParseLevel(std::string_view name) {
  for (const LevelRow& row : kLevels) {
    if (row.name == name) return row.level;
  }
  return std::nullopt;
}

std::string FormatLine(Format format, std::string_view context, std::string_view message,
                       Fields fields) {
  if (format == Format::kText) {
    std::string line = fmt::format("msg={} context={}", Quote(message), TextValue(context));
    for (const Field& field : fields)
      line += fmt::format(" {}={}", field.key, TextValue(field.value));
    return line;
  }
  std::string line =
      fmt::format("\"msg\":{},\"context\":{}", JsonValue(message), JsonValue(context));
  for (const Field& field : fields) {
    line += fmt::format(",{}:{}", JsonValue(field.key),
                        IsJsonNumber(field) ? field.value : JsonValue(field.value));
  }
  return line + '}';
}

void Write(Level level, std::string_view context, std::string_view message, Fields fields) {
  if (level < GetLevel()) return;
  const std::string line = FormatLine(current_format, context, message, fields);
  Logger().log(RowOf(level).spdlog_level, spdlog::string_view_t(line.data(), line.size()));
}

void SetLevel(Level level) { current_level = level; }
Level GetLevel() { return current_level; }

void SetFormat(Format format) {
  current_format = format;
  Logger().set_pattern(format == Format::kText ? kTextPattern : kJsonPattern);
}

}  // namespace contour::log
