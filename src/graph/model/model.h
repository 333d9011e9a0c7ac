// SPDX-License-Identifier: Apache-2.0
// What the objects mean: virtual hosts, their routes and TLS, the clusters behind them, the
// endpoints of these and the statuses of the objects. Plain values, the results of graph/ and the
// input of envoy/; nothing here knows Envoy's messages.
//
// Ordering and equality: every list is in an order that follows from the objects alone, so that
// equal objects give equal values, and equal values give equal bytes.

#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "api/object.h"
#include "base/box.h"

namespace contour::graph {

// ---- Clusters ----

enum class Protocol : std::uint8_t {
  kHTTP1,
  kTLS,
  kH2,
  kH2C
};  // h2 is HTTP/2 over TLS, h2c without

// Active HTTP health check, defaults filled in.
struct HealthCheck {
  std::string path;
  std::string host;  // sent as Host
  std::chrono::seconds interval{10};
  std::chrono::seconds timeout{2};
  std::uint32_t unhealthy_threshold = 3;
  std::uint32_t healthy_threshold = 2;
  // As written in the object, before defaults: the cluster's plain name is made of these (0: not
  // written).
  std::int64_t written_interval_seconds = 0;
  std::int64_t written_timeout_seconds = 0;
  std::int64_t written_unhealthy_threshold = 0;
  std::int64_t written_healthy_threshold = 0;

  auto operator<=>(const HealthCheck&) const = default;
};

// How the upstream's certificate is verified; both are non-empty.
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

// One way of reaching one port of one Service.
struct Cluster {
  std::string ns;
  std::string service;
  std::uint16_t port = 0;
  std::string port_name;      // of the Service's port; may be empty
  std::string external_name;  // non-empty: resolved by DNS instead of endpoints
  Protocol protocol = Protocol::kHTTP1;
  // A TCP proxy's, whose bytes are passed on as they are, though HTTP users of the port speak
  // another protocol: its name must differ from theirs.
  bool plain_tcp = false;
  std::string
      strategy;  // load balancing, as written in the object; "" and unknown ones mean round robin
  Box<HealthCheck> health_check;
  Box<UpstreamValidation> validation;
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

// ---- Routes ----

// Which paths a route takes.
struct PathMatch {
  enum class Type : std::uint8_t {
    kPrefix,         // string prefix
    kSegmentPrefix,  // whole segments: /foo takes /foo and /foo/bar, not /foobar; no trailing slash
    kExact,
    kRegex,  // RE2, of the full path; known to compile
  };
  Type type = Type::kPrefix;
  std::string value = "/";

  auto operator<=>(const PathMatch&) const = default;
};

// Retry behaviour of one route, whoever asked for it.
struct Retry {
  std::string retry_on = "5xx";        // Envoy's list, never empty
  std::optional<std::uint32_t> count;  // after the first try; nullopt: Envoy's default (1)
  std::optional<std::chrono::nanoseconds> per_try_timeout;

  bool operator==(const Retry&) const = default;
};

// Time for the whole response. nullopt in a Route: Envoy's default, 15 s.
struct Timeout {
  bool infinite = false;
  std::chrono::nanoseconds duration{
      0};  // > 0 unless infinite; may be negative where an annotation says so

  bool operator==(const Timeout&) const = default;
};

struct RouteAction {
  std::vector<WeightedCluster> clusters;  // not empty; in the order of the object
  std::optional<Timeout> timeout;
  Box<Retry> retry;
  std::string prefix_rewrite;  // empty: none
  bool websocket = false;

  bool operator==(const RouteAction&) const = default;
};

// Answered by Envoy itself.
struct DirectResponse {
  std::uint32_t status = 503;

  bool operator==(const DirectResponse&) const = default;
};

struct Route {
  PathMatch match;
  bool https_redirect = false;  // on the plain-HTTP side answer 301 to https instead of `action`
  std::variant<RouteAction, DirectResponse> action;

  bool operator==(const Route&) const = default;
};

// ---- Hosts ----

enum class TLSVersion : std::uint8_t { k1_1, k1_2, k1_3 };

// A serving certificate, checked: both parse and match.
struct ServingSecret {
  std::string ns;
  std::string name;
  std::string certificate_chain;  // PEM
  std::string private_key;        // PEM; never in a log
  // When the leaf expires, in seconds since 1970. Whether that is past is for those who have a
  // clock: an expired certificate is served all the same. It follows from the chain.
  std::int64_t not_after = 0;

  auto operator<=>(const ServingSecret&) const = default;
};
using ServingSecretPtr = std::shared_ptr<const ServingSecret>;

struct TCPProxy {
  std::vector<WeightedCluster> clusters;  // not empty

  bool operator==(const TCPProxy&) const = default;
};

// What is served under one host name on port 443.
struct SecureVirtualHost {
  ServingSecretPtr secret;  // nullptr: TLS passthrough (then tcp_proxy is set)
  TLSVersion minimum_version = TLSVersion::k1_2;
  TLSVersion maximum_version = TLSVersion::k1_3;  // below the minimum: the minimum counts
  std::vector<Route> routes;                      // may be empty; https_redirect is never set
  Box<TCPProxy> tcp_proxy;                        // takes the connection; `routes` are then unused

  bool operator==(const SecureVirtualHost& other) const {
    const bool same_secret =
        secret == other.secret ||
        (secret != nullptr && other.secret != nullptr && *secret == *other.secret);
    return same_secret && minimum_version == other.minimum_version &&
           maximum_version == other.maximum_version && routes == other.routes &&
           tcp_proxy == other.tcp_proxy;
  }
};

// All that is served under one host name ("*": any other). One with neither side is not served.
struct VirtualHost {
  std::string host;

  // Port 80. Sorted as Envoy must try them (see SortRoutes); no two with the same match.
  std::vector<Route> http_routes;

  Box<SecureVirtualHost> secure;  // port 443; nullopt: none

  bool operator==(const VirtualHost&) const = default;
};
using VirtualHostPtr = std::shared_ptr<const VirtualHost>;

// ---- Endpoints ----

// One port of one Service, by its name: whose endpoints an assignment holds.
struct AssignmentKey {
  std::string ns;
  std::string service;
  std::string port_name;  // may be empty

  auto operator<=>(const AssignmentKey&) const = default;
};

// The addresses behind one port of one Service. Named as `ServiceName()` of envoy/names.h names it.
struct Assignment {
  std::string ns;
  std::string service;
  std::string port_name;  // may be empty

  struct Address {
    std::string ip;
    std::uint16_t port = 0;
    auto operator<=>(const Address&) const = default;
  };
  std::vector<Address> addresses;  // sorted, no duplicates; empty: nothing is ready

  bool operator==(const Assignment&) const = default;
};

// ---- Statuses ----

// What became of an IngressRoute.
struct Status {
  std::string current_status;  // valid, invalid, orphaned, unknown (it depends on what isn't read)
  std::string description;
  std::string vhost;  // label of the metrics; may be empty
  // Caused by an object that isn't there, which may only be late: while kinds arrive one after the
  // other, such a status is better not shown at once.
  bool missing = false;

  bool operator==(const Status&) const = default;
};

// Something that an object asks for and doesn't get, where no status says so.
struct Problem {
  api::ObjectRef object;
  std::string text;  // begins with the field's path where there is one

  auto operator<=>(const Problem&) const = default;
};

}  // namespace contour::graph
