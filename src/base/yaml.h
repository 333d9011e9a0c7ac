// SPDX-License-Identifier: Apache-2.0
// YAML 1.2 as JSON, document by document, with the way back: where in the file a field of the JSON
// came from.
//
//   absl::Status status = ForEachYamlDocument(text, [&](const YamlDocument& document) ->
//   absl::Status {
//     CONTOUR_ASSIGN_OR_RETURN(const std::string json, document.ToJson({}));
//     … return ErrorAt(document.Find("spec.routes[1]"), "no such service");
//   });
//
// Plain scalars are read by the core schema: true/false, null, integers (also 0o17, 0xf) and
// decimals; everything else, and everything quoted, is text ("yes", "on" and 2019-09-26 too).
// Anchors, aliases and merge keys (`<<`) work; what they expand to is limited. A key that is given
// twice is an error. Wraps yaml-cpp, whose exceptions stay inside.

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
  std::size_t max_json_bytes = 64 << 20;  // of one document with its aliases expanded
  int max_depth = 100;                    // of lists and maps within each other, aliases expanded
};

class YamlDocument {
 public:
  class Builder;
  ~YamlDocument();
  YamlDocument(const YamlDocument&) = delete;
  YamlDocument& operator=(const YamlDocument&) = delete;

  // Nothing between two `---`, or null.
  bool IsEmpty() const;
  // Errors begin with "line L, column C: ".
  absl::StatusOr<std::string> ToJson(const YamlLimits& limits) const;
  // Of the field, or of the innermost thing around it that is there. The path is api::FieldError's.
  Position Find(std::string_view path) const;
  // Of the key that the path ends with; like Find() if the path ends with an index.
  Position FindKey(std::string_view path) const;

 private:
  struct Tree;
  YamlDocument();
  std::unique_ptr<Tree> tree_;
};

// Calls `visit` for each document in order, until one fails. Errors begin with "line L, column C: "
// if `visit`'s do.
absl::Status ForEachYamlDocument(std::string_view text,
                                 const std::function<absl::Status(const YamlDocument&)>& visit);

}  // namespace contour
