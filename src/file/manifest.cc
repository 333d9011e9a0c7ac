// SPDX-License-Identifier: Apache-2.0

#include "file/manifest.h"

#include <fmt/core.h>
#include <simdjson.h>

#include <functional>
#include <string>

#include "api/parse.h"
#include "api/parse_element.h"
#include "base/status.h"
#include "file/json_text.h"

namespace contour::file {
namespace {

using simdjson::dom::element;

// Returns the position of a field; the path begins at the top of the document.
using Locate = std::function<Position(std::string_view path)>;

// Returns the text of a key, or `otherwise` if there is none; ParseElement reports the fault.
std::string_view TextOf(const element& object, std::string_view key, std::string_view otherwise) {
  std::string_view text;
  return object.at_key(key).get(text) == simdjson::SUCCESS ? text : otherwise;
}

class Collector {
 public:
  Collector(std::string_view default_namespace, std::vector<api::ObjectPtr>* objects)
      : default_namespace_(default_namespace), objects_(objects) {}

  // Adds the object, or the objects in the list, at `path` of the document.
  absl::Status Add(const element& value, const std::string& path, const api::TypeMeta& assumed,
                   const Locate& locate) {
    const std::string_view kind = TextOf(value, "kind", assumed.kind);
    const std::string_view api_version = TextOf(value, "apiVersion", assumed.api_version);
    element items;
    if (kind.ends_with("List") && value.at_key("items").get(items) == simdjson::SUCCESS) {
      return AddItems(items, path, api_version, kind.substr(0, kind.size() - 4), locate);
    }
    api::FieldError error;
    absl::StatusOr<api::ParsedObject> parsed =
        api::ParseElement(value, default_namespace_, &error, assumed);
    if (!parsed.ok()) {
      const char* dot = path.empty() || error.path.empty() ? "" : ".";
      return ErrorAt(locate(path + dot + error.path), error.String());
    }
    if (parsed->object != nullptr) objects_->push_back(std::move(parsed->object));
    return absl::OkStatus();
  }

 private:
  absl::Status AddItems(const element& items, const std::string& list_path,
                        std::string_view api_version, std::string_view item_kind,
                        const Locate& locate) {
    const std::string path = list_path.empty() ? "items" : list_path + ".items";
    if (items.is_null()) return absl::OkStatus();
    simdjson::dom::array array;
    if (items.get(array) != simdjson::SUCCESS) {
      return ErrorAt(locate(path), fmt::format("{}: expected a list", path));
    }
    // The items of a plain List have their kinds; those of an XList are X.
    const api::TypeMeta assumed =
        item_kind.empty() ? api::TypeMeta{} : api::TypeMeta{api_version, item_kind};
    std::size_t index = 0;
    for (const element item : array) {
      CONTOUR_RETURN_IF_ERROR(Add(item, fmt::format("{}[{}]", path, index), assumed, locate));
      ++index;
    }
    return absl::OkStatus();
  }

  std::string_view default_namespace_;
  std::vector<api::ObjectPtr>* objects_;
};

absl::Status AddYaml(std::string_view text, const YamlLimits& limits, Collector& collector) {
  simdjson::dom::parser parser;
  return ForEachYamlDocument(text, [&](const YamlDocument& document) -> absl::Status {
    if (document.IsEmpty()) return absl::OkStatus();
    CONTOUR_ASSIGN_OR_RETURN(const std::string json, document.ToJson(limits));
    element value;
    if (const auto code = parser.parse(json).get(value); code != simdjson::SUCCESS) {
      return ErrorAt(document.Find(""), simdjson::error_message(code));
    }
    return collector.Add(value, "", {}, [&](std::string_view path) { return document.Find(path); });
  });
}

absl::Status AddJson(std::string_view text, Collector& collector) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  simdjson::dom::parser parser;
  element value;
  if (const auto code = parser.parse(text.data(), text.size()).get(value);
      code != simdjson::SUCCESS) {
    return JsonSyntaxError(text, simdjson::error_message(code));
  }
  CONTOUR_RETURN_IF_ERROR(CheckDuplicateKeys(text));
  return collector.Add(value, "", {},
                       [&](std::string_view path) { return FindInJson(text, path); });
}

}  // namespace

std::optional<Format> FormatOf(std::string_view file_name) {
  if (file_name.starts_with('.') || file_name.starts_with('#')) return std::nullopt;
  if (file_name.ends_with(".yaml") || file_name.ends_with(".yml")) return Format::kYaml;
  if (file_name.ends_with(".json")) return Format::kJson;
  return std::nullopt;
}

absl::StatusOr<std::vector<api::ObjectPtr>> ParseManifest(std::string_view text, Format format,
                                                          std::string_view default_namespace,
                                                          const YamlLimits& limits) {
  std::vector<api::ObjectPtr> objects;
  Collector collector(default_namespace, &objects);
  CONTOUR_RETURN_IF_ERROR(format == Format::kYaml ? AddYaml(text, limits, collector)
                                                  : AddJson(text, collector));
  return objects;
}

}  // namespace contour::file
