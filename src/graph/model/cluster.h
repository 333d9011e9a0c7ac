// SPDX-License-Identifier: Apache-2.0
// One way of reaching one port of a Service, with its limits, health check and load balancing.
// Plain values: equal objects give equal clusters, and equal clusters give equal bytes.

#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/indirect_optional.h"

namespace contour::graph {

enum class Protocol : std::uint8_t {
  kHTTP1,
  kTLS,
  kH2,
  kH2C
};  // h2 is HTTP/2 over TLS, h2c without

// An active HTTP health check with the defaults filled in.
struct HealthCheck {
  std::string path;
  std::string host;  // sent as Host
  std::chrono::seconds interval{10};
  std::chrono::seconds timeout{2};
  std::uint32_t unhealthy_threshold = 3;
  std::uint32_t healthy_threshold = 2;
  // These are as written in the object, before defaults (0: not written). The cluster's plain name
  // is made of them.
  std::int64_t written_interval_seconds = 0;
  std::int64_t written_timeout_seconds = 0;
  std::int64_t written_unhealthy_threshold = 0;
  std::int64_t written_healthy_threshold = 0;

  auto operator<=>(const HealthCheck&) const = default;
};

// The check of the upstream's certificate.
struct UpstreamValidation {
  std::string ca_secret;       // name as written; part of the cluster's name
  std::string ca_certificate;  // PEM
  std::string subject_name;    // must be among the certificate's DNS names

  auto operator<=>(const UpstreamValidation&) const = default;
};

// Limits of a Service; nullopt: Envoy's default.
struct CircuitBreakers {
  std::optional<std::uint32_t> max_connections;
  std::optional<std::uint32_t> max_pending_requests;
  std::optional<std::uint32_t> max_requests;
  std::optional<std::uint32_t> max_retries;
  std::optional<std::uint32_t> per_host_max_connections;

  auto operator<=>(const CircuitBreakers&) const = default;
};

// How requests are spread over the endpoints.
struct LoadBalancing {
  enum class Strategy : std::uint8_t { kRoundRobin, kLeastRequest, kRandom, kCookie };

  std::string written;  // in the object; the cluster's name is made of it

  // WeightedLeastRequest, Random and Cookie are known; anything else means round robin. It isn't
  // kept beside the text, as there are as many clusters as routes.
  Strategy strategy() const {
    if (written == "WeightedLeastRequest") return Strategy::kLeastRequest;
    if (written == "Random") return Strategy::kRandom;
    return written == "Cookie" ? Strategy::kCookie : Strategy::kRoundRobin;
  }

  auto operator<=>(const LoadBalancing&) const = default;
};

// One way of reaching one port of one Service.
struct Cluster {
  std::string ns;
  std::string service;
  std::uint16_t port = 0;
  std::string port_name;      // of the Service's port; may be empty
  std::string external_name;  // non-empty: resolved by DNS instead of endpoints
  Protocol protocol = Protocol::kHTTP1;
  // True for a TCP proxy, whose bytes are passed on as they are, if HTTP users of the port speak
  // another protocol. The cluster's name must differ from theirs.
  bool plain_tcp = false;
  LoadBalancing load_balancing;
  IndirectOptional<HealthCheck> health_check;
  IndirectOptional<UpstreamValidation> validation;
  CircuitBreakers circuit_breakers;

  auto operator<=>(const Cluster&) const = default;
};
using ClusterPtr = std::shared_ptr<const Cluster>;

// Orders pointers, none of them null, by what they point to.
struct ByContent {
  template <typename T>
  bool operator()(const std::shared_ptr<T>& a, const std::shared_ptr<T>& b) const {
    return a != b && *a < *b;
  }
};
using ClusterSet = std::set<ClusterPtr, ByContent>;

struct WeightedCluster {
  ClusterPtr cluster;        // never null
  std::uint32_t weight = 0;  // all 0 in a route: an even split

  bool operator==(const WeightedCluster& other) const {
    return weight == other.weight && *cluster == *other.cluster;
  }
};

}  // namespace contour::graph
