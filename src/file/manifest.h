// SPDX-License-Identifier: Apache-2.0
// Parses the text of a manifest file into objects. Pure; any thread.
//
// Example, given `std::string_view text`:
//   const auto objects = ParseManifest(text, Format::kYaml);
//   if (!objects.ok()) return objects.status();  // "line 3, column 7: …"
//
// YAML may have several documents, JSON has one value. Lists (`kind: List`, `IngressList`, … with
// `items`) are taken apart. Kinds that contour doesn't read, and empty documents, are ignored.

#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "api/object.h"
#include "base/yaml.h"

namespace contour::file {

enum class Format { kYaml, kJson };

// Returns the format by the end of the file's name: .yaml, .yml, .json; nullopt: it is no manifest.
// Hidden files and those that an editor makes (.x.yaml.swp, x.yaml~, #x.yaml#, x.yaml.tmp) are
// none.
std::optional<Format> FormatOf(std::string_view file_name);

// Returns the objects in the order of the text, or an error if any of them is wrong. Errors are
// kInvalidArgument and begin with "line L, column C: ", the place of the wrong field. They never
// show the data of a Secret.
absl::StatusOr<std::vector<api::ObjectPtr>> ParseManifest(
    std::string_view text, Format format, std::string_view default_namespace = "default",
    const YamlLimits& limits = {});

}  // namespace contour::file
