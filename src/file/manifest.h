// SPDX-License-Identifier: Apache-2.0
// From the text of a manifest file to objects. Pure; any thread.
//
//   absl::StatusOr<std::vector<api::ObjectPtr>> objects = ParseManifest(text, Format::kYaml);
//
// YAML may hold several documents, JSON holds one value. Lists (`kind: List`, `IngressList`, … with
// `items`) are taken apart. Kinds that the project doesn't read, and empty documents, are passed
// over.

#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "api/object.h"
#include "base/yaml.h"

namespace contour::file {

enum class Format { kYaml, kJson };

// By the end of the file's name: .yaml, .yml, .json; nullopt: no manifest. Hidden files and those
// that an editor makes
// (.x.yaml.swp, x.yaml~, #x.yaml#, x.yaml.tmp) are none.
std::optional<Format> FormatOf(std::string_view file_name);

// The objects in the order of the text. A manifest is good as a whole or not at all: errors are
// kInvalidArgument and begin with "line L, column C: ", the place of the field that is wrong. They
// never show the data of a Secret.
absl::StatusOr<std::vector<api::ObjectPtr>> ParseManifest(
    std::string_view text, Format format, std::string_view default_namespace = "default",
    const YamlLimits& limits = {});

}  // namespace contour::file
