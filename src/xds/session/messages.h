// SPDX-License-Identifier: Apache-2.0
// The messages of the xDS protocol as plain values, the same for delta and state of the world.
// https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol
//
// Thread: plain values, any thread.

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "xds/snapshot/resource.h"

namespace contour::xds {

using Time = std::chrono::steady_clock::time_point;

enum class Protocol : std::uint8_t { kStateOfTheWorld, kDelta };

// A DiscoveryRequest or DeltaDiscoveryRequest.
struct Request {
  std::string type_url;
  std::string nonce;                 // response_nonce; empty: answers no response
  std::optional<std::string> error;  // error_detail.message: the response of `nonce` was rejected
  // State of the world.
  std::string version;
  std::vector<std::string> names;
  // Delta.
  std::vector<std::string> subscribe;
  std::vector<std::string> unsubscribe;
  std::vector<std::pair<std::string, std::string>> initial_versions;  // name, version
};

// A DiscoveryResponse or DeltaDiscoveryResponse.
struct Response {
  Protocol protocol = Protocol::kDelta;
  ResourceType type = ResourceType::kCluster;
  std::string unknown_type_url;  // of an answer about a type that isn't served; else empty
  std::string version;           // version_info, system_version_info
  std::string nonce;
  std::vector<ResourcePtr> resources;  // sorted by name
  std::vector<std::string> removed;    // delta; sorted
};

}  // namespace contour::xds
