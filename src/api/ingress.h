// SPDX-License-Identifier: Apache-2.0
// Ingress, networking.k8s.io/v1.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/object.h"
#include "api/service.h"

namespace contour::api {

// The field `backend.service`. A cluster permits only objects that give exactly one of number and
// name.
struct IngressBackend {
  std::string service;           // empty: a `resource` backend, which we don't support
  std::int32_t port_number = 0;  // 0: given by name
  std::string port_name;

  bool operator==(const IngressBackend&) const = default;
};

enum class PathType { kImplementationSpecific, kExact, kPrefix };

struct IngressPath {
  std::string path;
  PathType path_type = PathType::kImplementationSpecific;
  IngressBackend backend;

  bool operator==(const IngressPath&) const = default;
};

struct IngressRule {
  std::string host;                              // empty: all hosts
  std::optional<std::vector<IngressPath>> http;  // nullopt: the rule has no `http`

  bool operator==(const IngressRule&) const = default;
};

struct IngressTLS {
  std::vector<std::string> hosts;
  std::string secret_name;

  bool operator==(const IngressTLS&) const = default;
};

struct IngressSpec {
  std::optional<std::string> ingress_class_name;
  std::optional<IngressBackend> default_backend;
  std::vector<IngressTLS> tls;
  std::vector<IngressRule> rules;

  bool operator==(const IngressSpec&) const = default;
};

struct Ingress : Object {
  static constexpr Kind kKind = Kind::kIngress;
  Ingress() : Object(kKind) {}

  IngressSpec spec;
  std::vector<LoadBalancerIngress> load_balancer;  // status.loadBalancer.ingress
};

}  // namespace contour::api
