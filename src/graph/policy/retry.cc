// SPDX-License-Identifier: Apache-2.0

#include "graph/policy/retry.h"

#include <algorithm>
#include <limits>

#include "base/duration.h"
#include "graph/policy/annotations.h"

namespace contour::graph {
namespace {

constexpr std::int64_t kMaxCount = std::numeric_limits<std::uint32_t>::max();

Retry MakeRetry(std::string retry_on, std::optional<std::uint32_t> count,
                std::string_view per_try_timeout) {
  Retry retry{.retry_on = std::move(retry_on), .count = count, .per_try_timeout = {}};
  if (const auto duration = ParseDuration(per_try_timeout); duration && duration->count() > 0) {
    retry.per_try_timeout = duration;
  }
  return retry;
}

}  // namespace

std::optional<Retry> RouteRetry(const Box<api::IngressRouteRetryPolicy>& policy) {
  if (!policy) return std::nullopt;
  const auto count =
      static_cast<std::uint32_t>(std::clamp<std::int64_t>(policy->count, 1, kMaxCount));
  return MakeRetry("5xx", count, policy->per_try_timeout);
}

std::optional<Retry> IngressRetry(const api::Meta& meta) {
  const std::optional<Annotation> retry_on = FindAnnotation(meta, "retry-on");
  if (!retry_on || retry_on->value.empty()) return std::nullopt;
  std::optional<std::uint32_t> count;
  if (const std::optional<Annotation> written = FindAnnotation(meta, "num-retries")) {
    const std::optional<std::int64_t> number = ParseInt(written->value);
    if (number && *number > 0) {
      count = static_cast<std::uint32_t>(std::min(*number, kMaxCount));
    } else if (written->modern) {
      if (number == -1) return std::nullopt;
      count = 1;
    }
  }
  const std::optional<Annotation> per_try = FindAnnotation(meta, "per-try-timeout");
  return MakeRetry(std::string(retry_on->value), count,
                   per_try ? per_try->value : std::string_view());
}

}  // namespace contour::graph
