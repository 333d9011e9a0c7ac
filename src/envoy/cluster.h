// SPDX-License-Identifier: Apache-2.0
// Translates graph::Cluster into Envoy's Cluster (envoy.config.cluster.v3.Cluster).
//
// A Service gives a cluster of type EDS whose endpoints come as a ClusterLoadAssignment (see
// endpoints.h). An ExternalName Service gives a cluster that Envoy resolves by DNS. Panic mode is
// off: with no healthy endpoint Envoy answers 503 rather than trying unhealthy ones. Upstream TLS
// sends no SNI.
//
// Pure, any thread. There are no errors: values that Envoy wouldn't take are limited to those that
// it takes.

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "envoy/config_source.h"
#include "envoy/names.h"
#include "envoy/resource.h"
#include "graph/model/cluster.h"

namespace contour::envoy {

// The ACK that shows that an Envoy has warmed the cluster, so that routes to it may be sent
// (measured with Envoy 1.40).
enum class WarmBy : std::uint8_t {
  kAssignment,  // that of the assignment sent after the cluster, also if it is empty
  kAck,         // that of the cluster itself: it has a health check, or is resolved by DNS
};

struct ClusterResource {
  Resource resource;
  WarmBy warm_by = WarmBy::kAssignment;
  // The longest time that the first health check, or DNS, may take after Envoy has the cluster and
  // its endpoints. It is needed on streams per type, where Envoy acks a cluster before it is warm.
  std::chrono::milliseconds warm_time{0};
  // The name of the ClusterLoadAssignment that must be sent after the cluster each time; nullopt:
  // DNS.
  std::optional<std::string> assignment;
};

ClusterResource TranslateCluster(const graph::Cluster& cluster, ConfigSource config_source,
                                 const Names& names = {});

// Returns a cluster without endpoints, for which Envoy answers 503.
ClusterResource ClosedCluster(std::string name);

}  // namespace contour::envoy
