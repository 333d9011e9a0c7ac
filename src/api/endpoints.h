// SPDX-License-Identifier: Apache-2.0
// Endpoints, v1: deprecated on clusters, still read from manifest folders. Its name is that of its
// Service.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "api/object.h"

namespace contour::api {

struct EndpointPort {
  std::string name;  // of the Service's port; empty if that has none
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
