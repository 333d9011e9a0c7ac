// SPDX-License-Identifier: Apache-2.0
// What the Envoys have, as JSON: per Envoy and type how many resources were sent, acknowledged,
// refused and held back, and those that the filter asks for, one by one. Pure, any thread.

#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "xds/session/views.h"

namespace contour::report {

// Reads the parameters of the page. kInvalidArgument: one of them can't be meant.
absl::StatusOr<xds::ViewFilter> ParseXdsFilter(
    const std::function<std::optional<std::string>(const std::string& name)>& parameter);

// `views` was made with the filter. `quarantined`: what is kept from all Envoys, of which those of
// the filter's type and resource are shown.
std::string XdsJson(const xds::SessionViews& views,
                    const std::vector<xds::QuarantineView>& quarantined,
                    const xds::ViewFilter& filter);

}  // namespace contour::report
