// SPDX-License-Identifier: Apache-2.0

#include "api/parse.h"

#include <fmt/core.h>
#include <simdjson.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/time/time.h"
#include "api/json_reader.h"
#include "api/kinds.h"
#include "api/parse_element.h"
#include "base/status.h"

namespace contour::api {
namespace {

absl::Status Report(FieldError failure, FieldError* error) {
  absl::Status status = absl::InvalidArgumentError(failure.String());
  if (error != nullptr) *error = std::move(failure);
  return status;
}

// Parses RFC 3339 into seconds since 1970.
std::optional<std::int64_t> ParseTimestamp(std::string_view text) {
  absl::Time time;
  std::string unused;
  // ParseTime would also accept "infinite-past" and white space around the text.
  if (text.empty() || text.front() < '0' || text.front() > '9' || text.back() == ' ' ||
      !absl::ParseTime(absl::RFC3339_full, absl::string_view(text.data(), text.size()), &time,
                       &unused)) {
    return std::nullopt;
  }
  return absl::ToUnixSeconds(time);
}

// Checks a name, which becomes part of paths and of "namespace/name", as the API server's
// ValidatePathSegmentName does.
void CheckName(JsonReader& reader, std::string_view key, std::string_view name) {
  if (name == "." || name == ".." || name.find_first_of("/%") != std::string_view::npos) {
    reader.Fail(key, fmt::format("expected a name without / and %, got \"{}\"", name));
  }
}

void ReadMeta(JsonReader& reader, const KindRow& row, std::string_view default_namespace,
              Meta* meta) {
  reader.Object("metadata", [&] {
    reader.String("name", &meta->name);
    CheckName(reader, "name", meta->name);
    if (row.namespaced) {
      reader.String("namespace", &meta->ns);
      CheckName(reader, "namespace", meta->ns);
    }
    reader.String("uid", &meta->uid);
    reader.String("resourceVersion", &meta->resource_version);
    reader.Int("generation", &meta->generation);
    if (const auto created = reader.Text("creationTimestamp")) {
      if (const auto seconds = ParseTimestamp(*created)) {
        meta->creation_time = *seconds;
      } else {
        reader.Fail("creationTimestamp", "expected a time like 2006-01-02T15:04:05Z");
      }
    }
    reader.EachKey("annotations", [&](std::string_view key) {
      if (IsReadAnnotation(key))
        reader.String(key, &meta->annotations.emplace_back(key, "").second);
    });
  });
  std::sort(meta->annotations.begin(), meta->annotations.end());
  if (row.namespaced && meta->ns.empty()) meta->ns = default_namespace;
}

std::string_view GroupOf(std::string_view api_version) {
  const std::size_t slash = api_version.find('/');
  return slash == std::string_view::npos ? std::string_view() : api_version.substr(0, slash);
}

std::string ObjectName(std::string_view kind, const Meta& meta) {
  if (meta.name.empty()) return std::string(kind);
  return meta.ns.empty() ? fmt::format("{} {}", kind, meta.name)
                         : fmt::format("{} {}/{}", kind, meta.ns, meta.name);
}

}  // namespace

std::string FieldError::String() const {
  std::string text = object;
  for (const std::string* part : {&path, &problem}) {
    if (part->empty()) continue;
    if (!text.empty()) text += ": ";
    text += *part;
  }
  return text;
}

absl::StatusOr<ParsedObject> ParseElement(const simdjson::dom::element& element,
                                          std::string_view default_namespace, FieldError* error,
                                          const TypeMeta& assumed) {
  simdjson::dom::object document;
  if (element.get(document) != simdjson::SUCCESS) {
    return Report({"", "", "expected an object with apiVersion, kind and metadata"}, error);
  }
  JsonReader reader(document);
  ParsedObject parsed{std::string(assumed.api_version), std::string(assumed.kind), nullptr};
  reader.String("apiVersion", &parsed.api_version);
  reader.String("kind", &parsed.kind);
  if (parsed.kind.empty()) reader.Fail("kind", "expected the kind of the object, got nothing");
  if (parsed.api_version.empty()) {
    reader.Fail("apiVersion", "expected the version of the object's kind, got nothing");
  }
  Meta meta;
  const auto fail = [&] {
    FieldError failure = reader.error();
    failure.object = ObjectName(parsed.kind, meta);
    return Report(std::move(failure), error);
  };
  if (reader.failed()) return fail();

  const KindRow* row = FindRow(parsed.kind);
  if (row == nullptr || std::find(row->groups.begin(), row->groups.end(),
                                  GroupOf(parsed.api_version)) == row->groups.end()) {
    return parsed;
  }
  ReadMeta(reader, *row, default_namespace, &meta);
  if (parsed.api_version != row->api_version) {
    // The version is reported before faults of the metadata, since it must be corrected first.
    return Report({ObjectName(parsed.kind, meta), "apiVersion",
                   fmt::format("{} is not read, use {}", parsed.api_version, row->api_version)},
                  error);
  }
  if (reader.failed()) return fail();
  if (meta.name.empty()) {
    return Report({parsed.kind, "metadata.name", "expected a name, got nothing"}, error);
  }
  std::shared_ptr<Object> object = row->read(reader, std::move(meta));
  if (reader.failed()) {
    meta = std::move(object->meta);
    return fail();
  }
  parsed.object = std::move(object);
  return parsed;
}

struct Parser::State {
  simdjson::dom::parser parser;
};

Parser::Parser() : state_(std::make_unique<State>()) {}
Parser::~Parser() = default;

absl::StatusOr<ParsedObject> Parser::Parse(std::string_view json,
                                           std::string_view default_namespace, FieldError* error) {
  simdjson::dom::element element;
  if (const auto code = state_->parser.parse(json.data(), json.size()).get(element);
      code != simdjson::SUCCESS) {
    return Report({"", "", fmt::format("not JSON: {}", simdjson::error_message(code))}, error);
  }
  return ParseElement(element, default_namespace, error);
}

}  // namespace contour::api
