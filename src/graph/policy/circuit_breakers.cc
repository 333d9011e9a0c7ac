// SPDX-License-Identifier: Apache-2.0

#include "graph/policy/circuit_breakers.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

#include "graph/policy/annotation.h"

namespace contour::graph {
namespace {

std::optional<std::uint32_t> Limit(const api::Meta& meta, std::string_view name,
                                   bool modern_only = false) {
  const std::optional<Annotation> annotation = FindAnnotation(meta, name);
  if (!annotation || (modern_only && !annotation->modern)) return std::nullopt;
  constexpr std::int64_t kMax = std::numeric_limits<std::int32_t>::max();
  std::int64_t number = 0;
  const std::string_view text = annotation->value;
  const auto [end, error] = ReadInt(text, number);
  if (end != text.data() + text.size()) return std::nullopt;
  if (error == std::errc::result_out_of_range) number = text.starts_with('-') ? 0 : kMax;
  if (number <= 0) return std::nullopt;
  return static_cast<std::uint32_t>(std::min(number, kMax));
}

}  // namespace

CircuitBreakers ParseCircuitBreakers(const api::Meta& service) {
  return {.max_connections = Limit(service, "max-connections"),
          .max_pending_requests = Limit(service, "max-pending-requests"),
          .max_requests = Limit(service, "max-requests"),
          .max_retries = Limit(service, "max-retries"),
          .per_host_max_connections = Limit(service, "per-host-max-connections", true)};
}

}  // namespace contour::graph
