// SPDX-License-Identifier: Apache-2.0

#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

#include "base/strings.h"

namespace contour::log {
namespace {

spdlog::level::level_enum ToSpdlog(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarning:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

spdlog::logger& Logger() {
  static const std::shared_ptr<spdlog::logger> logger = [] {
    auto made = std::make_shared<spdlog::logger>("contour",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("time=\"%Y-%m-%dT%H:%M:%S.%e%z\" level=%l %v");
    made->flush_on(spdlog::level::debug);
    return made;
  }();
  return *logger;
}

// Bare where a reader of key=value text can't be misled, quoted otherwise.
std::string Value(std::string_view text) {
  const bool bare = !text.empty() && text.find_first_of(" \t\n\r\"=\\") == std::string_view::npos;
  return bare ? std::string(text) : Quote(text);
}

}  // namespace

void Write(Level level, std::string_view context, std::string_view message, Fields fields) {
  spdlog::logger& logger = Logger();
  if (!logger.should_log(ToSpdlog(level))) return;
  std::string line = fmt::format("msg={} context={}", Quote(message), Value(context));
  for (const Field& field : fields) line += fmt::format(" {}={}", field.key, Value(field.value));
  logger.log(ToSpdlog(level), spdlog::string_view_t(line.data(), line.size()));
}

void SetLevel(Level level) { Logger().set_level(ToSpdlog(level)); }

}  // namespace contour::log
