// SPDX-License-Identifier: Apache-2.0
// What translation gives: an Envoy v3 resource, serialised once.

#pragma once

#include <string>
#include <vector>

namespace contour::envoy {

// A resource, or a part of one (a virtual host of a route configuration, a filter chain of a listener).
struct Resource {
  std::string name;   // of a part: what tells it from its siblings
  std::string bytes;  // the message, serialised deterministically (not wrapped in Any)
  // Names of what it needs before it may be announced, sorted, no duplicates: clusters of a virtual host or of a
  // filter chain with a TCP proxy.
  std::vector<std::string> clusters;
};

}  // namespace contour::envoy
