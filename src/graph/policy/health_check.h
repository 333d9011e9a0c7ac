// SPDX-License-Identifier: Apache-2.0
// Active health checks of a service.

#pragma once

#include <optional>

#include "api/ingress_route.h"
#include "graph/model/cluster.h"

namespace contour::graph {

// Fills in the defaults (host `contour-envoy-healthcheck`, interval 10 s, timeout 2 s, 3 unhealthy,
// 2 healthy) for what is absent, zero or negative. nullopt: no check.
std::optional<HealthCheck> ParseHealthCheck(const Box<api::IngressRouteHealthCheck>& spec);

}  // namespace contour::graph
