// SPDX-License-Identifier: Apache-2.0
// Endpoints, v1. The kind is deprecated on clusters, and still read from manifest folders. The
// object has the name of its Service.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "api/object.h"

namespace contour::api {

struct EndpointPort {
  std::string name;  // the name of the Service's port; empty if that port has none
  std::int32_t port = 0;
  std::string protocol = "TCP";

  bool operator==(const EndpointPort&) const = default;
};

struct EndpointSubset {
  std::vector<std::string> addresses;            // IPs that are ready
  std::vector<std::string> not_ready_addresses;  // IPs that are not
  std::vector<EndpointPort> ports;

  bool operator==(const EndpointSubset&) const = default;
};

struct Endpoints : Object {
  static constexpr Kind kKind = Kind::kEndpoints;
  Endpoints() : Object(kKind) {}

  std::vector<EndpointSubset> subsets;
};

}  // namespace contour::api
