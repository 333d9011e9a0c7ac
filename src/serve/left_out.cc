// SPDX-License-Identifier: Apache-2.0
#include "serve/left_out.h"

#include <algorithm>
#include <string>

#include "base/status.h"
#include "base/strings.h"

namespace contour::serve {
namespace {

// Nothing can be served without Services and EndpointSlices.
constexpr api::Kind kOptional[] = {api::Kind::kSecret, api::Kind::kIngress,
                                   api::Kind::kIngressClass, api::Kind::kIngressRoute,
                                   api::Kind::kTLSCertificateDelegation};

}  // namespace

absl::StatusOr<std::vector<api::Kind>> KindsLeftOut(const config::Serve& config) {
  std::vector<api::Kind> kinds;
  for (const std::string& name : config.without) {
    const auto* const found = std::find_if(
        std::begin(kOptional), std::end(kOptional),
        [&](api::Kind kind) { return LowerCase(api::KindName(kind)) == LowerCase(name); });
    if (found == std::end(kOptional)) {
      std::string names;
      for (const api::Kind kind : kOptional)
        names += (names.empty() ? "" : ", ") + std::string(api::KindName(kind));
      return InvalidArgument("--without: expected kinds among {}, got {}", names, Quote(name));
    }
    kinds.push_back(*found);
  }
  if (!kinds.empty() && !config.manifests.empty()) {
    return InvalidArgument("--without: expected a cluster, but objects come from --manifests {}",
                           config.manifests);
  }
  return kinds;
}

}  // namespace contour::serve
