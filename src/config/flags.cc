// SPDX-License-Identifier: Apache-2.0

#include "config/flags.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

#include "base/status.h"
#include "base/strings.h"

namespace contour::config {
namespace {

// True if the app or one of its commands has this flag.
bool IsFlag(const CLI::App& app, const std::string& name) {
  const CLI::Option* const option = app.get_option_no_throw(name);
  if (option != nullptr && option->get_items_expected_max() == 0) return true;
  const auto commands =
      app.get_subcommands([](const CLI::App* command) { return command != nullptr; });
  return std::any_of(commands.begin(), commands.end(),
                     [&](const CLI::App* command) { return IsFlag(*command, name); });
}

bool IsFlagValue(std::string value) {
  try {
    CLI::detail::to_flag_value(std::move(value));
    return true;
  } catch (const std::logic_error&) {  // invalid_argument, out_of_range
    return false;
  }
}

}  // namespace

void AddFlags(const Settings& settings, CLI::App& app, const std::shared_ptr<GivenFlags>& given) {
  for (const Setting& setting : settings.all()) {
    const Declaration& declaration = setting.declaration;
    if (declaration.flag == nullptr) continue;
    const std::string flag = declaration.flag;
    std::string names = "--" + flag;
    if (declaration.short_flag != nullptr) names += fmt::format(",-{}", declaration.short_flag);
    std::string text = declaration.text;
    if (!declaration.keys.empty()) text += fmt::format("; key {}", declaration.keys.front());
    if (declaration.environment != nullptr) {
      text += fmt::format("; environment {}", declaration.environment);
    }
    CLI::Option* option = nullptr;
    if (setting.kind == Kind::kBool) {
      option = app.add_flag_function(
          fmt::format("{},!--no-{}", names, flag),
          [given, flag](std::int64_t count) { (*given)[flag] = count > 0 ? "true" : "false"; },
          text);
    } else {
      option = app.add_option_function<std::string>(
          names, [given, flag](const std::string& value) { (*given)[flag] = value; }, text);
      option->type_name(declaration.value != nullptr ? declaration.value : "TEXT");
      if (!setting.default_value.empty()) option->default_str(setting.default_value);
    }
    if (setting.kind == Kind::kList) {
      option->join(',');
    } else {
      option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    }
    if (*setting.group != '\0') option->group(setting.group);
  }
}

absl::Status CheckArguments(const CLI::App& app, const std::vector<std::string>& arguments) {
  for (const std::string& argument : arguments) {
    if (argument == "--") break;  // only names follow
    const std::size_t equals = argument.find('=');
    if (!argument.starts_with("--") || equals == std::string::npos) continue;
    const std::string name = argument.substr(0, equals);
    if (name.starts_with("--no-")) return InvalidArgument("{} takes no value", name);
    const std::string value = argument.substr(equals + 1);
    if (!value.empty() && IsFlag(app, name) && !IsFlagValue(value)) {
      return InvalidArgument("{}: expected true or false, got {}", name, Quote(value));
    }
  }
  return absl::OkStatus();
}

}  // namespace contour::config
