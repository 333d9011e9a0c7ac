// SPDX-License-Identifier: Apache-2.0
// Service, v1.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "api/object.h"

namespace contour::api {

struct ServicePort {
  std::string name;  // may be empty if the Service has only this port
  std::int32_t port = 0;
  std::string protocol = "TCP";

  bool operator==(const ServicePort&) const = default;
};

struct ServiceSpec {
  std::string type = "ClusterIP";  // ClusterIP, NodePort, LoadBalancer, ExternalName
  std::string external_name;       // for ExternalName
  std::vector<ServicePort> ports;

  bool operator==(const ServiceSpec&) const = default;
};

// One address of a load balancer: an IP address, a host name or both.
struct LoadBalancerIngress {
  std::string ip;
  std::string hostname;

  bool operator==(const LoadBalancerIngress&) const = default;
};

struct Service : Object {
  static constexpr Kind kKind = Kind::kService;
  Service() : Object(kKind) {}

  ServiceSpec spec;
  std::vector<LoadBalancerIngress> load_balancer;  // status.loadBalancer.ingress
};

}  // namespace contour::api
