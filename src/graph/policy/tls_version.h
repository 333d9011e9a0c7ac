// SPDX-License-Identifier: Apache-2.0
// The versions of TLS that a virtual host takes.

#pragma once

#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "graph/model/listener.h"
#include "graph/model/options.h"

namespace contour::graph {

struct TLSVersionSpec {
  std::string_view text;   // "1.1", "1.2" or "1.3"; as written
  std::string_view field;  // its path
};

// Returns nullopt if nothing is written. Errors: kInvalidArgument if the text is no version.
absl::StatusOr<std::optional<TLSVersion>> ParseTLSVersion(const TLSVersionSpec& spec);

// Returns the minimum version of a virtual host: the one written, raised to the configured minimum.
// A text that is no version, or none, counts as the lowest.
TLSVersion MinimumTLSVersion(const TLSVersionSpec& spec, const Options& options);

}  // namespace contour::graph
