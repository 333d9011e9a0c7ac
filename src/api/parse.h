// SPDX-License-Identifier: Apache-2.0
// Parses the JSON of an object into its struct.
//
// Example, given `std::string_view json`:
//   Parser parser;  // keeps buffers; one per thread
//   const absl::StatusOr<ParsedObject> parsed = parser.Parse(json);
//
// Errors are kInvalidArgument and begin with the object and the field's path:
// `IngressRoute default/root: spec.routes[1].services[0].port: expected an integer, got string`.

#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "api/object.h"

namespace contour::api {

// The type of an object, and the object itself if contour reads its kind.
struct ParsedObject {
  std::string api_version;
  std::string kind;
  ObjectPtr object;  // nullptr: contour doesn't read this kind, which is no error
};

// A field that could not be used. `path` has the form `spec.routes[1].match`; empty: the error is
// about the object as a whole.
struct FieldError {
  std::string object;  // "IngressRoute default/root", as far as it is known
  std::string path;
  std::string problem;

  std::string String() const;
};

class Parser {
 public:
  Parser();
  ~Parser();
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;

  // Parses one object. An empty metadata.namespace of a namespaced kind becomes
  // `default_namespace`. If `error` is given, it gets the parts of the error message.
  absl::StatusOr<ParsedObject> Parse(std::string_view json,
                                     std::string_view default_namespace = "default",
                                     FieldError* error = nullptr);

 private:
  struct State;  // simdjson's parser and its buffers
  std::unique_ptr<State> state_;
};

}  // namespace contour::api
