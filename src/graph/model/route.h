// SPDX-License-Identifier: Apache-2.0
// A route takes some requests of a host and leads them to clusters, or answers them.

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/indirect_optional.h"
#include "graph/model/cluster.h"
#include "graph/model/match.h"

namespace contour::graph {

// Retry behaviour of one route, whoever asked for it.
struct Retry {
  std::string retry_on = "5xx";        // Envoy's list, never empty
  std::optional<std::uint32_t> count;  // after the first try; nullopt: Envoy's default (1)
  std::optional<std::chrono::nanoseconds> per_try_timeout;

  bool operator==(const Retry&) const = default;
};

// The time for the whole response. nullopt in RoutePolicies means Envoy's default, 15 s.
struct Timeout {
  bool infinite = false;
  std::chrono::nanoseconds duration{
      0};  // > 0 unless infinite; may be negative where an annotation says so

  bool operator==(const Timeout&) const = default;
};

// How requests are treated on their way to the clusters.
struct RoutePolicies {
  std::optional<Timeout> timeout;
  IndirectOptional<Retry> retry;
  std::string prefix_rewrite;  // empty: none
  bool websocket = false;

  bool operator==(const RoutePolicies&) const = default;
};

struct RouteAction {
  std::vector<WeightedCluster> clusters;  // not empty; in the order of the object
  RoutePolicies policies;

  bool operator==(const RouteAction&) const = default;
};

// An answer that Envoy gives itself.
struct DirectResponse {
  std::uint32_t status = 503;

  bool operator==(const DirectResponse&) const = default;
};

struct Route {
  RouteMatch match;
  bool https_redirect = false;  // on the plain-HTTP side answer 301 to https instead of `action`
  std::variant<RouteAction, DirectResponse> action;

  bool operator==(const Route&) const = default;
};

}  // namespace contour::graph
