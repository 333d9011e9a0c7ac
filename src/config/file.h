// SPDX-License-Identifier: Apache-2.0
// The configuration file: YAML, or JSON, one document.
//
//   incluster: true
//   tls:                              # null, like an absent section
//   leaderelection:
//     lease-name: contour
//
// Nothing in it is passed over: an unknown key, a value of another type, a key that is given twice
// are errors, since a silent typo in the configuration of an ingress is worse than a start that
// fails. A null value or an empty file counts as absent.

#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "config/settings.h"

namespace contour::config {

// The text of a file. kNotFound: `path '<path>' does not exist`.
absl::StatusOr<std::string> ReadText(const std::string& path);

// What the text says, held against the keys of `settings`; values are checked by
// Settings::Resolve. `path` is for messages, which begin with "<path>: line L, column C: <key>: ".
absl::StatusOr<FileValues> ParseFile(const std::string& path, std::string_view text,
                                     const Settings& settings);

}  // namespace contour::config
