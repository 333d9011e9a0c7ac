// SPDX-License-Identifier: Apache-2.0

#include "config/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/strings.h"

namespace contour::config {
namespace {

std::string SourceText(const Setting& setting) {
  switch (setting.source) {
    case Source::kDefault:
      return "default";
    case Source::kFile:
      return setting.place;
    case Source::kEnvironment:
      return fmt::format("environment {}", setting.declaration.environment);
    case Source::kFlag:
      return fmt::format("flag --{}", setting.declaration.flag);
  }
  return "";
}

std::string Code(std::string_view text) { return text.empty() ? "" : fmt::format("`{}`", text); }

std::string_view LastStep(std::string_view key) {
  const std::size_t dot = key.rfind('.');
  return dot == std::string_view::npos ? key : key.substr(dot + 1);
}

// Returns the value as it is written after the key.
std::string Yaml(const Setting& setting) {
  switch (setting.kind) {
    case Kind::kBool:
    case Kind::kNumber:
    case Kind::kDuration:
      return setting.default_value;
    case Kind::kList:
      return setting.default_value.empty() ? "[]" : Quote(setting.default_value);
    case Kind::kText:
    case Kind::kChoice:
      break;
  }
  const bool plain =
      !setting.default_value.empty() &&
      std::all_of(setting.default_value.begin(), setting.default_value.end(),
                  [](unsigned char c) { return std::isalpha(c) != 0 || c == '-' || c == '/'; });
  return plain ? setting.default_value : Quote(setting.default_value);
}

// Returns the text in lines that begin with `indent` and have at most 100 columns.
std::string Wrap(std::string_view text, const std::string& indent) {
  std::string lines;
  std::string line;
  for (const std::string& word : SplitList(text, ' ')) {
    if (!line.empty() && indent.size() + line.size() + 1 + word.size() > 100) {
      lines += fmt::format("{}{}\n", indent, line);
      line.clear();
    }
    if (!line.empty()) line += ' ';
    line += word;
  }
  return lines + fmt::format("{}{}\n", indent, line);
}

}  // namespace

std::string InForce(const Settings& settings) {
  std::size_t name_width = 0;
  std::size_t value_width = 0;
  for (const Setting& setting : settings.all()) {
    name_width = std::max(name_width, setting.Name().size());
    value_width = std::max(value_width, Quote(setting.show()).size());
  }
  value_width = std::min<std::size_t>(value_width, 40);
  std::string text;
  for (const Setting& setting : settings.all()) {
    const bool quoted = setting.kind == Kind::kText || setting.kind == Kind::kList;
    text += fmt::format("{:<{}}  {:<{}}  {}\n", setting.Name(), name_width,
                        quoted ? Quote(setting.show()) : setting.show(), value_width,
                        SourceText(setting));
  }
  return text;
}

std::string Reference(const Settings& settings) {
  std::string text;
  std::string_view group;
  for (const Setting& setting : settings.all()) {
    const Declaration& declaration = setting.declaration;
    if (group != setting.group) {
      text += fmt::format(
          "{}## {}\n\n| Flag | Key of the file | Environment | Default | Meaning | Values | "
          "Change |\n|---|---|---|---|---|---|---|\n",
          group.empty() ? "" : "\n", setting.group);
      group = setting.group;
    }
    std::vector<std::string> flags;
    if (declaration.flag != nullptr) {
      flags.push_back(Code(fmt::format("--{}", declaration.flag)));
      if (setting.kind == Kind::kBool) {
        flags.push_back(Code(fmt::format("--no-{}", declaration.flag)));
      }
      if (declaration.short_flag != nullptr) {
        flags.push_back(Code(fmt::format("-{}", declaration.short_flag)));
      }
    }
    std::vector<std::string> keys;
    for (const char* key : declaration.keys) keys.push_back(Code(key));
    text += fmt::format("| {} | {} | {} | {} | {} | {} | {} |\n", fmt::join(flags, ", "),
                        fmt::join(keys, ", "),
                        Code(declaration.environment != nullptr ? declaration.environment : ""),
                        Code(setting.default_value), declaration.text, setting.expected,
                        declaration.at_once ? "at once" : "at a restart");
  }
  return text;
}

std::string ExampleConfigMap(const Settings& settings) {
  std::string text =
      "apiVersion: v1\n"
      "kind: ConfigMap\n"
      "metadata:\n"
      "  name: contour\n"
      "  namespace: heptio-contour\n"
      "data:\n"
      "  contour.yaml: |\n";
  std::string section;
  for (const bool sections : {false, true}) {
    for (const Setting& setting : settings.all()) {
      if (setting.declaration.keys.empty()) continue;
      const std::string_view key = setting.declaration.keys.front();
      const std::size_t dot = key.find('.');
      if ((dot != std::string_view::npos) != sections) continue;
      std::string indent = "    ";
      if (sections) {
        if (section != key.substr(0, dot)) {
          section = key.substr(0, dot);
          text += fmt::format("    {}:\n", section);
        }
        indent += "  ";
      }
      text += Wrap(setting.declaration.text, indent + "# ");
      text += fmt::format("{}# {}: {}\n", indent, LastStep(key), Yaml(setting));
      if (!sections) text += indent + "#\n";
    }
  }
  return text;
}

}  // namespace contour::config
