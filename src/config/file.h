// SPDX-License-Identifier: Apache-2.0
// Reads the configuration file: one document of YAML or JSON.
//
//   incluster: true
//   tls:                              # null, like an absent section
//   leaderelection:
//     lease-name: contour
//
// Nothing in it is ignored. An unknown key, a value of another type and a key that is given twice
// are errors, since a silent typo in the configuration of an ingress is worse than a start that
// fails. A null value or an empty file counts as absent.

#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "config/settings.h"

namespace contour::config {

// Returns the text of a file. Error kNotFound: `path '<path>' does not exist`.
absl::StatusOr<std::string> ReadText(const std::string& path);

// Returns the values in the text, or an error if a key isn't one of `settings`. Settings::Resolve
// checks the values. `path` is for messages, which begin with "<path>: line L, column C: <key>: ".
absl::StatusOr<FileValues> ParseFile(const std::string& path, std::string_view text,
                                     const Settings& settings);

}  // namespace contour::config
