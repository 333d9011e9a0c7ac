// SPDX-License-Identifier: Apache-2.0

#include "graph/policy/retry.h"

#include <algorithm>
#include <limits>
#include <string>

#include "base/duration.h"
#include "base/status.h"
#include "graph/policy/syntax.h"

namespace contour::graph {

absl::StatusOr<Retry> ParseRetry(const RetrySpec& spec) {
  if (!IsHeaderValue(spec.retry_on))
    return InvalidArgument("{}: contains a line end or NUL; nothing is retried", spec.field);
  Retry retry{.retry_on = std::string(spec.retry_on), .count = {}, .per_try_timeout = {}};
  constexpr std::int64_t kMaxCount = std::numeric_limits<std::uint32_t>::max();
  if (spec.count)
    retry.count = static_cast<std::uint32_t>(std::clamp<std::int64_t>(*spec.count, 1, kMaxCount));
  if (const auto duration = ParseDuration(spec.per_try_timeout); duration && duration->count() > 0)
    retry.per_try_timeout = duration;
  return retry;
}

}  // namespace contour::graph
