// SPDX-License-Identifier: Apache-2.0

#include "graph/policy/health_check.h"

#include <algorithm>
#include <chrono>

#include "base/status.h"
#include "graph/policy/syntax.h"

namespace contour::graph {
namespace {

// Envoy's durations and thresholds have about 32 bits; a century is long enough.
constexpr std::int64_t kMaxSeconds = 3'155'760'000;
constexpr std::int64_t kMaxCount = 0xffffffff;

}  // namespace

absl::StatusOr<HealthCheck> ParseHealthCheck(const HealthCheckSpec& spec) {
  if (spec.path.empty() || !IsHeaderValue(spec.path) || !IsHeaderValue(spec.host))
    return InvalidArgument("{}.path must be a path; the service is not checked", spec.field);
  HealthCheck check;
  check.path = spec.path;
  check.host = spec.host.empty() ? "contour-envoy-healthcheck" : spec.host;
  check.written_interval_seconds = std::clamp<std::int64_t>(spec.interval_seconds, 0, kMaxSeconds);
  check.written_timeout_seconds = std::clamp<std::int64_t>(spec.timeout_seconds, 0, kMaxSeconds);
  check.written_unhealthy_threshold =
      std::clamp<std::int64_t>(spec.unhealthy_threshold, 0, kMaxCount);
  check.written_healthy_threshold = std::clamp<std::int64_t>(spec.healthy_threshold, 0, kMaxCount);
  if (check.written_interval_seconds > 0)
    check.interval = std::chrono::seconds(check.written_interval_seconds);
  if (check.written_timeout_seconds > 0)
    check.timeout = std::chrono::seconds(check.written_timeout_seconds);
  if (check.written_unhealthy_threshold > 0)
    check.unhealthy_threshold = static_cast<std::uint32_t>(check.written_unhealthy_threshold);
  if (check.written_healthy_threshold > 0)
    check.healthy_threshold = static_cast<std::uint32_t>(check.written_healthy_threshold);
  return check;
}

}  // namespace contour::graph
