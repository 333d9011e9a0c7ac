// SPDX-License-Identifier: Apache-2.0

#include "config/flags.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace contour::config {

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

absl::Status CheckArguments(const std::vector<std::string>& arguments) {
  for (const std::string& argument : arguments) {
    if (argument == "--") break;  // only names follow
    const std::size_t equals = argument.find('=');
    if (argument.starts_with("--no-") && equals != std::string::npos) {
      return InvalidArgument("{} takes no value", argument.substr(0, equals));
    }
  }
  return absl::OkStatus();
}

}  // namespace contour::config
