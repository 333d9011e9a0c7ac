// SPDX-License-Identifier: Apache-2.0

#include "config/file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/read_file.h"
#include "base/status.h"
#include "base/strings.h"
#include "base/yaml.h"

namespace contour::config {
namespace {

using Json = nlohmann::ordered_json;

// Returns the Levenshtein distance.
std::size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

std::string_view LastStep(std::string_view key) {
  const std::size_t dot = key.rfind('.');
  return dot == std::string_view::npos ? key : key.substr(dot + 1);
}

// Returns the key that was probably meant; nullptr: none is near enough. A key in the wrong section
// is near its right place.
const char* NearestKey(const Settings& settings, std::string_view wrong) {
  const char* nearest = nullptr;
  std::size_t distance = std::max<std::size_t>(LastStep(wrong).size() / 2, 2) + 1;
  for (const Setting& setting : settings.all()) {
    for (const char* key : setting.declaration.keys) {
      const std::size_t candidate =
          std::min(EditDistance(wrong, key), EditDistance(LastStep(wrong), LastStep(key)));
      if (candidate >= distance) continue;
      distance = candidate;
      nearest = key;
    }
  }
  return nearest;
}

// Returns the keys below `section`, or those at the top if that is empty.
std::vector<std::string> KeysOf(const Settings& settings, std::string_view section) {
  std::vector<std::string> keys;
  for (const Setting& setting : settings.all()) {
    for (std::string_view key : setting.declaration.keys) {
      if (!key.starts_with(section)) continue;
      key.remove_prefix(section.size());
      std::string first(key.substr(0, key.find('.')));
      if (std::find(keys.begin(), keys.end(), first) == keys.end()) keys.push_back(first);
    }
  }
  return keys;
}

bool IsPlain(std::string_view key) {
  return !key.empty() && std::all_of(key.begin(), key.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_';
  });
}

class Reader {
 public:
  Reader(const YamlDocument& document, const std::string& path, const Settings& settings,
         FileValues* values)
      : document_(document), path_(path), settings_(settings), values_(values) {}

  // Reads a section. `section` is "" or ends with a dot; `field` is the same for
  // YamlDocument::FindKey.
  absl::Status Read(const Json& map, const std::string& section, const std::string& field) {
    for (const auto& [name, value] : map.items()) {
      const std::string key = section + name;
      const std::string step = IsPlain(name) ? fmt::format("{}{}", section.empty() ? "" : ".", name)
                                             : fmt::format("[\"{}\"]", name);
      const std::string at = field + step;
      const Setting* const setting = IsPlain(name) ? settings_.FindKey(key) : nullptr;
      if (setting != nullptr) {
        CONTOUR_RETURN_IF_ERROR(ReadValue(*setting, key, at, value));
      } else if (IsPlain(name) && !KeysOf(settings_, key + ".").empty()) {
        if (value.is_null()) continue;
        if (!value.is_object()) {
          return Error(at, key,
                       fmt::format("expected a section with {}, got {}",
                                   fmt::join(KeysOf(settings_, key + "."), ", "), Got(value)));
        }
        CONTOUR_RETURN_IF_ERROR(Read(value, key + ".", at));
      } else {
        return Error(at, key, Unknown(section, name, key));
      }
    }
    return absl::OkStatus();
  }

  absl::Status Error(const std::string& at, std::string_view key, const std::string& problem) {
    return InvalidArgument("{}: {}: {}", Place(at), OneLine(key), problem);
  }

 private:
  std::string Place(const std::string& at) const {
    const Position position = document_.FindKey(at);
    return fmt::format("{}: line {}, column {}", path_, position.line, position.column);
  }

  std::string Unknown(const std::string& section, const std::string& name, const std::string& key) {
    const char* const nearest = NearestKey(settings_, key);
    if (nearest != nullptr && name == nearest && section.empty()) {
      return fmt::format("unknown key; write {} below {}:", LastStep(name),
                         name.substr(0, name.rfind('.')));
    }
    std::string text =
        fmt::format("unknown key, expected one of {}", fmt::join(KeysOf(settings_, section), ", "));
    if (nearest != nullptr) text += fmt::format("; the nearest known one is {}", nearest);
    return text;
  }

  static std::string Got(const Json& value) {
    if (value.is_string()) return fmt::format("the text {}", Quote(value.get<std::string>()));
    if (value.is_array()) return "a list";
    if (value.is_object()) return "a section";
    return value.dump();
  }

  absl::Status ReadValue(const Setting& setting, const std::string& key, const std::string& at,
                         const Json& value) {
    if (value.is_null()) return absl::OkStatus();
    const std::optional<std::string> text = TextOf(setting.kind, value);
    if (!text) {
      return Error(at, key, fmt::format("expected {}, got {}", setting.expected, Got(value)));
    }
    values_->push_back({key, *text, Place(at)});
    return absl::OkStatus();
  }

  // Returns the text of a value; nullopt: it is of another type.
  static std::optional<std::string> TextOf(Kind kind, const Json& value) {
    switch (kind) {
      case Kind::kBool:
        if (!value.is_boolean()) return std::nullopt;
        return value.dump();
      case Kind::kNumber:
        if (!value.is_number_integer()) return std::nullopt;
        return value.dump();
      case Kind::kChoice:  // a version is written with and without quotes
        if (value.is_number()) return value.dump();
        break;
      case Kind::kList:
        if (value.is_array()) {
          std::string items;
          for (const Json& item : value) {
            if (!item.is_string()) return std::nullopt;
            items += item.get<std::string>() + kItemEnd;
          }
          return items;
        }
        break;
      case Kind::kText:
      case Kind::kDuration:
        break;
    }
    if (!value.is_string()) return std::nullopt;
    return value.get<std::string>();
  }

  const YamlDocument& document_;
  const std::string& path_;
  const Settings& settings_;
  FileValues* values_;
};

}  // namespace

absl::StatusOr<std::string> ReadText(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path);
  if (absl::IsNotFound(text.status())) return NotFound("path '{}' does not exist", path);
  return text;
}

absl::StatusOr<FileValues> ParseFile(const std::string& path, std::string_view text,
                                     const Settings& settings) {
  FileValues values;
  int documents = 0;
  absl::Status wrong;  // with the path in front already
  const absl::Status status =
      ForEachYamlDocument(text, [&](const YamlDocument& document) -> absl::Status {
        if (document.IsEmpty()) return absl::OkStatus();
        Reader reader(document, path, settings, &values);
        if (++documents > 1) {
          return ErrorAt(document.Find(""), "a second document; expected only one");
        }
        CONTOUR_ASSIGN_OR_RETURN(const std::string json, document.ToJson({}));
        const Json root = Json::parse(json, nullptr, false);
        if (!root.is_object()) {
          return ErrorAt(document.Find(""), "expected a map of settings");
        }
        wrong = reader.Read(root, "", "");
        return wrong;
      });
  if (!wrong.ok()) return wrong;
  if (!status.ok()) return InvalidArgument("{}: {}", path, Message(status));
  return values;
}

}  // namespace contour::config
