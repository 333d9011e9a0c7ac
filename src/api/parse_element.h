// SPDX-License-Identifier: Apache-2.0
// Does what Parser::Parse does for JSON that is parsed into simdjson's elements already: the items
// of a list page, the object of a watch event. It is apart from parse.h because it includes
// simdjson.
//
// Example, given `simdjson::dom::array items`:
//   for (const simdjson::dom::element item : items) {
//     const auto parsed = ParseElement(item, "default", nullptr, {"v1", "Service"});
//   }

#pragma once

#include <simdjson.h>

#include <string_view>

#include "absl/status/statusor.h"
#include "api/parse.h"

namespace contour::api {

// The type of an object that doesn't have these fields: items of a list may omit them.
struct TypeMeta {
  std::string_view api_version;
  std::string_view kind;
};

// Parses as Parser::Parse does. The result owns its strings, so the element needn't outlive it.
absl::StatusOr<ParsedObject> ParseElement(const simdjson::dom::element& element,
                                          std::string_view default_namespace = "default",
                                          FieldError* error = nullptr,
                                          const TypeMeta& assumed = {});

}  // namespace contour::api
