// SPDX-License-Identifier: Apache-2.0
// Converts YAML 1.2 to JSON, document by document, and finds the place in the file from which a
// field of the JSON came.
//
// Example, given `std::string_view text`:
//   return ForEachYamlDocument(text, [](const YamlDocument& document) -> absl::Status {
//     CONTOUR_ASSIGN_OR_RETURN(const std::string json, document.ToJson({}));
//     if (!json.empty()) return absl::OkStatus();
//     return ErrorAt(document.Find("spec.routes[1]"), "no such service");
//   });
//
// Plain scalars are read by the core schema: true/false, null, integers (also 0o17, 0xf) and
// decimals. Everything else, and everything quoted, is text ("yes", "on" and 2019-09-26 too).
// Anchors, aliases and merge keys (`<<`) work; the size of their expansion is limited. A key that
// is given twice is an error. The parser is yaml-cpp, whose exceptions stay inside.

#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/position.h"

namespace contour {

struct YamlLimits {
  std::size_t max_json_bytes = 64 << 20;  // of one document, with its aliases expanded
  int max_depth = 100;                    // of nested lists and maps, with aliases expanded
};

class YamlDocument {
 public:
  class Builder;
  ~YamlDocument();
  YamlDocument(const YamlDocument&) = delete;
  YamlDocument& operator=(const YamlDocument&) = delete;

  // True if there is nothing between two `---`, or null.
  bool IsEmpty() const;
  // Returns the JSON. Errors begin with "line L, column C: ".
  absl::StatusOr<std::string> ToJson(const YamlLimits& limits) const;
  // Returns the position of the field, or of the innermost value around it that exists. The path
  // has the form of api::FieldError.
  Position Find(std::string_view path) const;
  // Returns the position of the last key of the path. Does as Find() if the path ends with an
  // index.
  Position FindKey(std::string_view path) const;

 private:
  struct Tree;
  YamlDocument();
  std::unique_ptr<Tree> tree_;
};

// Calls `visit` for each document in order, until a call fails. Errors begin with "line L, column
// C: " if those of `visit` do.
absl::Status ForEachYamlDocument(std::string_view text,
                                 const std::function<absl::Status(const YamlDocument&)>& visit);

}  // namespace contour
