// SPDX-License-Identifier: Apache-2.0
// Shows the resources of the Envoys as JSON: how many of each type were sent to each Envoy, acked,
// NACKed and held, and those that the filter selects one by one. Pure; any thread.

#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "xds/session/views.h"

namespace contour::report {

// Reads the parameters of the page. kInvalidArgument: one of them has no meaning.
absl::StatusOr<xds::ViewFilter> ParseXdsFilter(
    const std::function<std::optional<std::string>(const std::string& name)>& parameter);

// Returns the page. `views` was made with the filter. `quarantined` has the contents that are not
// sent to Envoys; those of the filter's type and resource are shown.
std::string XdsJson(const xds::SessionViews& views,
                    const std::vector<xds::QuarantineView>& quarantined,
                    const xds::ViewFilter& filter);

}  // namespace contour::report
