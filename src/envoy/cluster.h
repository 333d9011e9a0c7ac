// SPDX-License-Identifier: Apache-2.0
// graph::Cluster → Envoy's Cluster (envoy.config.cluster.v3.Cluster).
//
// A Service gives a cluster of type EDS whose endpoints come as a ClusterLoadAssignment (see
// endpoints.h); an ExternalName Service one that Envoy resolves by DNS. Panic mode is off: with no
// healthy endpoint Envoy answers 503 rather than trying unhealthy ones. Upstream TLS sends no SNI.
//
// Pure, any thread. There are no errors: values that Envoy would refuse are cut to what it takes.

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "envoy/config_source.h"
#include "envoy/names.h"
#include "envoy/resource.h"
#include "graph/model/model.h"

namespace contour::envoy {

// What shows that an Envoy has warmed the cluster, so that routes to it may be announced (measured
// with Envoy 1.40).
enum class WarmBy : std::uint8_t {
  kAssignment,  // the assignment that was sent after the cluster is acknowledged, an empty one too
  kAck,         // the cluster itself is acknowledged: with a health check, or resolved by DNS
};

struct ClusterResource {
  Resource resource;
  WarmBy warm_by = WarmBy::kAssignment;
  // How long the first health check, or DNS, may take after Envoy has the cluster and its
  // endpoints. Matters where Envoy acknowledges a cluster before it is warm: on streams per type.
  std::chrono::milliseconds warm_time{0};
  // Name of the ClusterLoadAssignment that must follow each push of the cluster; nullopt: DNS.
  std::optional<std::string> assignment;
};

ClusterResource TranslateCluster(const graph::Cluster& cluster, ConfigSource config_source,
                                 const Names& names = {});

// A cluster without endpoints: Envoy answers 503 for it.
ClusterResource ClosedCluster(std::string name);

}  // namespace contour::envoy
