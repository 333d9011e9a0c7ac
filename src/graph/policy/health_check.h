// SPDX-License-Identifier: Apache-2.0
// Active HTTP health checks of a service.

#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "graph/model/cluster.h"

namespace contour::graph {

// Numbers that are zero or negative, and an empty host, are replaced by the defaults: host
// `contour-envoy-healthcheck`, interval 10 s, timeout 2 s, 3 unhealthy, 2 healthy.
struct HealthCheckSpec {
  std::string_view path;
  std::string_view host;
  std::int64_t interval_seconds = 0;
  std::int64_t timeout_seconds = 0;
  std::int64_t unhealthy_threshold = 0;
  std::int64_t healthy_threshold = 0;
  std::string_view field;  // the path of the check
};

// Errors: kInvalidArgument if Envoy would refuse the check.
absl::StatusOr<HealthCheck> ParseHealthCheck(const HealthCheckSpec& spec);

}  // namespace contour::graph
