// SPDX-License-Identifier: Apache-2.0

#include "graph/policy/tls_version.h"

#include <algorithm>

#include "base/status.h"
#include "base/strings.h"

namespace contour::graph {

absl::StatusOr<std::optional<TLSVersion>> ParseTLSVersion(const TLSVersionSpec& spec) {
  if (spec.text.empty()) return std::nullopt;
  if (spec.text == "1.1") return TLSVersion::k1_1;
  if (spec.text == "1.2") return TLSVersion::k1_2;
  if (spec.text == "1.3") return TLSVersion::k1_3;
  return InvalidArgument("{}: expected 1.1, 1.2 or 1.3, got {}", spec.field, Quote(spec.text));
}

TLSVersion MinimumTLSVersion(const TLSVersionSpec& spec, const Options& options) {
  const auto written = ParseTLSVersion(spec).value_or(std::nullopt);
  return std::max(written.value_or(TLSVersion::k1_1), options.minimum_tls_version);
}

}  // namespace contour::graph
