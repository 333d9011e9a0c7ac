// SPDX-License-Identifier: Apache-2.0
// The rewrite of a request's path on its way to the service.

#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace contour::graph {

struct RewriteSpec {
  std::string_view prefix;  // in place of the matched prefix; empty: no rewrite
  std::string_view field;   // its path
};

// Errors: kInvalidArgument if Envoy can't take the prefix.
absl::StatusOr<std::string> ParsePrefixRewrite(const RewriteSpec& spec);

}  // namespace contour::graph
