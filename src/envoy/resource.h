// SPDX-License-Identifier: Apache-2.0
// The result of translation: an Envoy v3 resource, serialized once.
//
// A big resource is not built as one message. It has a head and parts: the bytes of the head, then
// each part as one more element of a repeated field (protobuf allows fields in any order).

#pragma once

#include <string>
#include <vector>

namespace contour::envoy {

// A resource, or a part of one (a virtual host of a route configuration, a filter chain of a
// listener).
struct Resource {
  std::string name;   // the parts of a resource have different names
  std::string bytes;  // the message, serialized deterministically (not wrapped in Any)
  // Names of the clusters that must be warm before it is sent, sorted, no duplicates: the clusters
  // of a virtual host, or of a filter chain with a TCP proxy.
  std::vector<std::string> clusters;
};

}  // namespace contour::envoy
