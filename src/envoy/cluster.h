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
#include <cstddef>
#include <optional>
#include <string>

#include "envoy/config_source.h"
#include "envoy/names.h"
#include "envoy/resource.h"
#include "graph/model/cluster.h"

namespace contour::envoy {

struct ClusterResource {
  Resource resource;
  // True: an Envoy has warmed the cluster when it acks the assignment that was sent after it, also
  // an empty one. False: when it acks the cluster itself, which has a health check or is resolved
  // by DNS. (Measured with Envoy 1.40.)
  bool warm_by_assignment = true;
  // The longest time that the first health check, or DNS, may take after Envoy has the cluster and
  // its endpoints. It is needed on streams per type, where Envoy acks a cluster before it is warm.
  std::chrono::milliseconds warm_time{0};
  // The name of the ClusterLoadAssignment that must be sent after the cluster each time; nullopt:
  // DNS.
  std::optional<std::string> assignment;
};

// Translates a cluster whose name is `name`.
ClusterResource TranslateCluster(const graph::Cluster& cluster, std::string name,
                                 ConfigSource config_source, std::size_t hash_digits = kHashDigits);

// Returns a cluster without endpoints, for which Envoy answers 503.
ClusterResource ClosedCluster(std::string name);

}  // namespace contour::envoy
