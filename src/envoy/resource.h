// SPDX-License-Identifier: Apache-2.0
// The result of translation: an Envoy v3 resource, serialized once.
//
// A big resource is not built as one message. It has a head and parts: the bytes of the head, then
// each part as one more element of a repeated field (protobuf allows fields in any order):
//
//   std::string bytes = RouteConfigurationHead(kIngressHTTP).bytes;
//   for (const Resource& host : hosts) AppendPart(kVirtualHostsField, host.bytes, &bytes);

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
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

// Numbers of the repeated fields that are filled part by part.
inline constexpr std::uint32_t kVirtualHostsField = 2;  // of RouteConfiguration
inline constexpr std::uint32_t kFilterChainsField = 3;  // of Listener

// Appends one element of the repeated message field `field` to the serialised message `bytes`.
void AppendPart(std::uint32_t field, std::string_view part, std::string* bytes);

}  // namespace contour::envoy
