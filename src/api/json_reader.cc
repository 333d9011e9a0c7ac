// SPDX-License-Identifier: Apache-2.0

#include "api/json_reader.h"

#include <fmt/core.h>

#include "base/strings.h"

namespace contour::api {
namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;

std::string_view TypeName(element got) {
  switch (got.type()) {
    case element_type::ARRAY:
      return "a list";
    case element_type::OBJECT:
      return "an object";
    case element_type::INT64:
    case element_type::UINT64:
      return "an integer";
    case element_type::DOUBLE:
      return "a decimal number";
    case element_type::STRING:
      return "a string";
    case element_type::BOOL:
      return "a boolean";
    case element_type::NULL_VALUE:
      return "null";
  }
  return "something else";
}

// Appends `.key`, or `["key"]` if a dot of the key could be taken for a step of the path.
void AppendKey(std::string_view key, std::string* path) {
  if (key.find_first_of("./[]\"\\") != std::string_view::npos) {
    *path += fmt::format("[{}]", Quote(key));
  } else {
    if (!path->empty()) *path += '.';
    *path += key;
  }
}

}  // namespace

bool JsonReader::Find(std::string_view key, element* found) {
  if (failed()) return false;
  return object_.at_key(key).get(*found) == simdjson::SUCCESS && !found->is_null();
}

std::optional<simdjson::dom::array> JsonReader::FindArray(std::string_view key) {
  element found;
  if (!Find(key, &found)) return std::nullopt;
  simdjson::dom::array array;
  if (found.get(array) != simdjson::SUCCESS) {
    FailType(key, "a list", found);
    return std::nullopt;
  }
  return array;
}

std::optional<std::string_view> JsonReader::Text(std::string_view key) {
  element found;
  if (!Find(key, &found)) return std::nullopt;
  std::string_view text;
  if (found.get(text) != simdjson::SUCCESS) {
    FailType(key, "a string", found);
    return std::nullopt;
  }
  return text;
}

void JsonReader::String(std::string_view key, std::string* out) {
  if (const auto text = Text(key)) *out = *text;
}

void JsonReader::String(std::string_view key, std::optional<std::string>* out) {
  if (const auto text = Text(key)) *out = std::string(*text);
}

void JsonReader::Bool(std::string_view key, std::optional<bool>* out) {
  element found;
  if (!Find(key, &found)) return;
  bool value = false;
  if (found.get(value) != simdjson::SUCCESS) return FailType(key, "true or false", found);
  *out = value;
}

void JsonReader::Bool(std::string_view key, bool* out) {
  std::optional<bool> value;
  Bool(key, &value);
  if (value) *out = *value;
}

template <typename Integer>
void JsonReader::BoundedInt(std::string_view key, std::int64_t low, std::int64_t high,
                            Integer* out) {
  element found;
  if (!Find(key, &found)) return;
  std::int64_t value = 0;
  if (!found.is_int64()) {
    if (!found.is_uint64()) return FailType(key, "an integer", found);
    return Fail(key, fmt::format("expected an integer from {} to {}, got {}", low, high,
                                 std::uint64_t(found)));
  }
  value = std::int64_t(found);
  if (value < low || value > high) {
    return Fail(key, fmt::format("expected an integer from {} to {}, got {}", low, high, value));
  }
  *out = static_cast<Integer>(value);
}
template void JsonReader::BoundedInt(std::string_view, std::int64_t, std::int64_t, std::int32_t*);
template void JsonReader::BoundedInt(std::string_view, std::int64_t, std::int64_t, std::int64_t*);

void JsonReader::Strings(std::string_view key, std::vector<std::string>* out) {
  const std::optional<simdjson::dom::array> array = FindArray(key);
  if (!array) return;
  out->reserve(array->size());
  for (const element item : *array) {
    std::string_view text;
    if (item.get(text) != simdjson::SUCCESS) {
      path_.push_back({key, out->size()});
      error_ = FieldError{"", Path(), fmt::format("expected a string, got {}", TypeName(item))};
      path_.pop_back();
      return;
    }
    out->emplace_back(text);
  }
}

void JsonReader::Fail(std::string_view key, std::string problem) {
  if (failed()) return;
  path_.push_back({key, kNoIndex});
  error_ = FieldError{"", Path(), std::move(problem)};
  path_.pop_back();
}

void JsonReader::FailType(std::string_view key, std::string_view expected, element got) {
  Fail(key, fmt::format("expected {}, got {}", expected, TypeName(got)));
}

void JsonReader::FailNoObject(element got) {
  error_ = FieldError{"", Path(), fmt::format("expected an object, got {}", TypeName(got))};
}

std::string JsonReader::Path() const {
  std::string path;
  for (const Step& step : path_) {
    AppendKey(step.key, &path);
    if (step.index != kNoIndex) path += fmt::format("[{}]", step.index);
  }
  return path;
}

}  // namespace contour::api
