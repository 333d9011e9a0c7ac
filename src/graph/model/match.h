// SPDX-License-Identifier: Apache-2.0
// Matches decide which requests a route takes.

#pragma once

#include <compare>
#include <cstdint>
#include <string>

namespace contour::graph {

// The paths that a route takes.
struct PathMatch {
  enum class Type : std::uint8_t {
    kPrefix,         // string prefix
    kSegmentPrefix,  // whole segments: /foo takes /foo and /foo/bar, not /foobar; no trailing slash
    kExact,
    kRegex,  // RE2, of the full path; known to compile
  };
  Type type = Type::kPrefix;
  std::string value = "/";

  auto operator<=>(const PathMatch&) const = default;
};

// The requests that a route takes.
struct RouteMatch {
  PathMatch path;

  auto operator<=>(const RouteMatch&) const = default;
};

}  // namespace contour::graph
