// SPDX-License-Identifier: Apache-2.0
// Parser::Parse for those who hold the JSON as simdjson's elements already: the items of a list
// page, the object of a watch event. Apart from parse.h because it includes simdjson.
//
//   for (simdjson::dom::element item : items) ParseElement(item, "", &error, {"v1", "Service"});

#pragma once

#include <simdjson.h>

#include <string_view>

#include "absl/status/statusor.h"
#include "api/parse.h"

namespace contour::api {

// What the object is if it doesn't say so: items of a list may omit it.
struct TypeMeta {
  std::string_view api_version;
  std::string_view kind;
};

// As Parser::Parse. The result owns its strings; the element may go.
absl::StatusOr<ParsedObject> ParseElement(const simdjson::dom::element& element,
                                          std::string_view default_namespace = "default",
                                          FieldError* error = nullptr,
                                          const TypeMeta& assumed = {});

}  // namespace contour::api
