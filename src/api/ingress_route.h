// SPDX-License-Identifier: Apache-2.0
// IngressRoute, contour.heptio.com/v1beta1. An IngressRoute with `virtualhost` is a root. Any other
// has an effect only if an IngressRoute delegates to it.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/object.h"
#include "base/indirect_optional.h"

namespace contour::api {

struct IngressRouteTLS {
  std::string secret_name;               // own namespace, or "ns/name"
  std::string minimum_protocol_version;  // "1.1", "1.2", "1.3"; as written
  bool passthrough = false;

  bool operator==(const IngressRouteTLS&) const = default;
};

struct IngressRouteVirtualHost {
  std::string fqdn;
  IndirectOptional<IngressRouteTLS> tls;

  bool operator==(const IngressRouteVirtualHost&) const = default;
};

// An active HTTP health check, with the numbers as written. 0 or absent means the default: interval
// 10 s, timeout 2 s, unhealthy threshold 3, healthy threshold 2.
struct IngressRouteHealthCheck {
  std::string path;
  std::string host;
  std::int64_t interval_seconds = 0;
  std::int64_t timeout_seconds = 0;
  std::int64_t unhealthy_threshold_count = 0;
  std::int64_t healthy_threshold_count = 0;

  bool operator==(const IngressRouteHealthCheck&) const = default;
};

struct IngressRouteUpstreamValidation {
  std::string ca_secret;
  std::string subject_name;

  bool operator==(const IngressRouteUpstreamValidation&) const = default;
};

struct IngressRouteService {
  std::string name;
  std::int64_t port = 0;
  std::int64_t weight = 0;
  std::string strategy;  // RoundRobin, WeightedLeastRequest, Random, Cookie; as written
  IndirectOptional<IngressRouteHealthCheck> health_check;
  IndirectOptional<IngressRouteUpstreamValidation> validation;

  bool operator==(const IngressRouteService&) const = default;
};

struct IngressRouteDelegate {
  std::string name;
  std::string ns;  // empty: the namespace of the delegating object

  bool operator==(const IngressRouteDelegate&) const = default;
};

struct IngressRouteRetryPolicy {
  std::int64_t count = 0;
  std::string per_try_timeout;  // Go duration, as written

  bool operator==(const IngressRouteRetryPolicy&) const = default;
};

struct IngressRouteRoute {
  std::string match;  // path prefix
  std::vector<IngressRouteService> services;
  IndirectOptional<IngressRouteDelegate> delegate;
  bool enable_websockets = false;
  bool permit_insecure = false;
  std::string prefix_rewrite;
  std::optional<std::string>
      timeout_request;  // timeoutPolicy.request as written; nullopt: no timeoutPolicy
  IndirectOptional<IngressRouteRetryPolicy> retry_policy;

  bool operator==(const IngressRouteRoute&) const = default;
};

struct IngressRouteTCPProxy {
  std::vector<IngressRouteService> services;
  IndirectOptional<IngressRouteDelegate> delegate;

  bool operator==(const IngressRouteTCPProxy&) const = default;
};

struct IngressRouteSpec {
  std::optional<IngressRouteVirtualHost> virtualhost;
  std::optional<std::vector<IngressRouteRoute>>
      routes;  // nullopt: absent or null, which differs from []
  IndirectOptional<IngressRouteTCPProxy> tcpproxy;

  bool operator==(const IngressRouteSpec&) const = default;
};

// The field `status` of an IngressRoute.
struct IngressRouteStatus {
  std::string current_status;  // valid, invalid, orphaned
  std::string description;

  bool operator==(const IngressRouteStatus&) const = default;
};

struct IngressRoute : Object {
  static constexpr Kind kKind = Kind::kIngressRoute;
  IngressRoute() : Object(kKind) {}

  IngressRouteSpec spec;
  IngressRouteStatus status;  // the status on the API server
};

}  // namespace contour::api
