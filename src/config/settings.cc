// SPDX-License-Identifier: Apache-2.0

#include "config/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "base/duration.h"
#include "base/status.h"

namespace contour::config {
namespace {

using std::chrono::milliseconds;

// Returns the duration in the largest unit that leaves no rest.
std::string ShowDuration(milliseconds duration) {
  const auto count = duration.count();
  if (count == 0) return "0s";
  if (count % 1000 != 0) return fmt::format("{}ms", count);
  const auto seconds = count / 1000;
  if (seconds % 3600 == 0) return fmt::format("{}h", seconds / 3600);
  if (seconds % 60 == 0) return fmt::format("{}m", seconds / 60);
  return fmt::format("{}s", seconds);
}

std::optional<std::int64_t> ParseNumber(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

bool IsKey(const Setting& setting, std::string_view key) {
  return std::any_of(setting.declaration.keys.begin(), setting.declaration.keys.end(),
                     [&](const char* known) { return known == key; });
}

// Sets a value from `text`. `where` names the place, for the message.
absl::Status Set(Setting& setting, const std::string& where, std::string_view text, Source source) {
  if (setting.declaration.zero_is_default && (text.empty() || text == "0")) {
    return absl::OkStatus();
  }
  if (!setting.parse(text)) {
    return InvalidArgument("{}: expected {}, got {}", where, setting.expected, Quote(text));
  }
  setting.source = source;
  return absl::OkStatus();
}

}  // namespace

Environment ProcessEnvironment() {
  return [](const char* name) -> std::optional<std::string> {
    const char* const value = std::getenv(name);
    if (value == nullptr) return std::nullopt;
    return value;
  };
}

std::string Setting::Name() const {
  if (declaration.flag != nullptr) return fmt::format("--{}", declaration.flag);
  return declaration.keys.empty() ? declaration.environment : declaration.keys.front();
}

void Settings::Add(Kind kind, std::string expected, std::function<bool(std::string_view)> parse,
                   std::function<std::string()> show, Declaration declaration) {
  Setting setting;
  setting.declaration = std::move(declaration);
  setting.group = group_;
  setting.kind = kind;
  setting.expected = std::move(expected);
  setting.parse = std::move(parse);
  setting.show = std::move(show);
  setting.default_value = setting.show();
  settings_.push_back(std::move(setting));
}

void Settings::Add(bool& target, Declaration declaration) {
  Add(
      Kind::kBool, "true or false",
      [&target](std::string_view text) {
        if (text != "true" && text != "false") return false;
        target = text == "true";
        return true;
      },
      [&target] { return std::string(target ? "true" : "false"); }, std::move(declaration));
}

void Settings::Add(std::string& target, Declaration declaration) {
  Add(
      Kind::kText, "a text",
      [&target](std::string_view text) {
        target = text;
        return true;
      },
      [&target] { return target; }, std::move(declaration));
}

void Settings::Add(std::vector<std::string>& target, Declaration declaration) {
  Add(
      Kind::kList, "a list, or a text with commas",
      [&target](std::string_view text) {
        target = SplitList(text, text.ends_with(kItemEnd) ? kItemEnd : ',');
        return true;
      },
      [&target] { return fmt::format("{}", fmt::join(target, ",")); }, std::move(declaration));
}

void Settings::Add(milliseconds& target, Declaration declaration) {
  Add(
      Kind::kDuration, "a duration like 15s or 1m30s",
      [&target](std::string_view text) {
        const auto duration = ParseDuration(text);
        if (!duration || *duration < milliseconds(0)) return false;
        target = std::chrono::duration_cast<milliseconds>(*duration);
        return true;
      },
      [&target] { return ShowDuration(target); }, std::move(declaration));
}

void Settings::AddNumber(const std::function<void(std::int64_t)>& set,
                         const std::function<std::int64_t()>& get, std::int64_t minimum,
                         std::int64_t maximum, Declaration declaration) {
  const std::int64_t low = std::max(minimum, declaration.minimum.value_or(minimum));
  const std::int64_t high = std::min(maximum, declaration.maximum.value_or(maximum));
  Add(
      Kind::kNumber,
      high == INT64_MAX ? fmt::format("a number of at least {}", low)
                        : fmt::format("a number from {} to {}", low, high),
      [set, low, high](std::string_view text) {
        const std::optional<std::int64_t> number = ParseNumber(text);
        if (!number || *number < low || *number > high) return false;
        set(*number);
        return true;
      },
      [get] { return fmt::format("{}", get()); }, std::move(declaration));
}

void Settings::AddChoice(const std::vector<std::string>& names,
                         const std::function<void(std::size_t)>& set,
                         const std::function<std::size_t()>& get, Declaration declaration) {
  Add(
      Kind::kChoice, fmt::format("one of {}", fmt::join(names, ", ")),
      [names, set](std::string_view text) {
        const auto found = std::find(names.begin(), names.end(), text);
        if (found == names.end()) return false;
        set(static_cast<std::size_t>(found - names.begin()));
        return true;
      },
      [names, get] { return names[get()]; }, std::move(declaration));
}

const Setting* Settings::FindKey(std::string_view key) const {
  const auto found = std::find_if(settings_.begin(), settings_.end(),
                                  [&](const Setting& setting) { return IsKey(setting, key); });
  return found == settings_.end() ? nullptr : &*found;
}

absl::Status Settings::Resolve(const Inputs& inputs) {
  for (Setting& setting : settings_) {
    const FileValue* earlier = nullptr;
    if (inputs.file != nullptr) {
      for (const FileValue& value : *inputs.file) {
        if (!IsKey(setting, value.key)) continue;
        if (earlier != nullptr && earlier->text != value.text) {
          return InvalidArgument("{}: {}: means the same as {} ({}), which says otherwise: {}, {}",
                                 value.place, value.key, earlier->key, earlier->place,
                                 Quote(value.text), Quote(earlier->text));
        }
        CONTOUR_RETURN_IF_ERROR(
            Set(setting, fmt::format("{}: {}", value.place, value.key), value.text, Source::kFile));
        setting.place = value.place;
        earlier = &value;
      }
    }
    const char* const variable = setting.declaration.environment;
    if (variable != nullptr && inputs.environment) {
      const std::optional<std::string> value = inputs.environment(variable);
      if (value && !value->empty()) {
        CONTOUR_RETURN_IF_ERROR(Set(setting, fmt::format("environment variable {}", variable),
                                    *value, Source::kEnvironment));
      }
    }
    if (setting.declaration.flag != nullptr && inputs.flags != nullptr) {
      const auto given = inputs.flags->find(setting.declaration.flag);
      if (given != inputs.flags->end()) {
        CONTOUR_RETURN_IF_ERROR(Set(setting, setting.Name(), given->second, Source::kFlag));
      }
    }
  }
  return absl::OkStatus();
}

std::vector<const Setting*> Differences(const Settings& before, const Settings& after) {
  std::vector<const Setting*> different;
  for (std::size_t i = 0; i < std::min(before.all().size(), after.all().size()); ++i) {
    if (before.all()[i].show() != after.all()[i].show()) different.push_back(&after.all()[i]);
  }
  return different;
}

}  // namespace contour::config
