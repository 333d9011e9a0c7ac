// SPDX-License-Identifier: Apache-2.0
// EndpointSlice, discovery.k8s.io/v1.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/endpoints.h"
#include "api/object.h"

namespace contour::api {

struct Endpoint {
  // The addresses of one endpoint. The API says that they are fungible.
  std::vector<std::string> addresses;
  // The conditions; nullopt: not given. Absent `ready` counts as true, absent `serving` as `ready`.
  std::optional<bool> ready;
  std::optional<bool> serving;
  std::optional<bool> terminating;
  std::string zone;

  bool operator==(const Endpoint&) const = default;
};

struct EndpointSlice : Object {
  static constexpr Kind kKind = Kind::kEndpointSlice;
  EndpointSlice() : Object(kKind) {}

  std::string service_name;  // label kubernetes.io/service-name; empty: belongs to no Service
  std::string address_type;  // IPv4, IPv6, FQDN
  std::vector<Endpoint> endpoints;
  std::vector<EndpointPort> ports;  // port 0: not given (any port; not usable)
};

}  // namespace contour::api
