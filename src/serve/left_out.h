// SPDX-License-Identifier: Apache-2.0
// --without: the kinds that are not read.

#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "api/object.h"
#include "config/serve.h"

namespace contour::serve {

// Errors: a name that isn't a kind's, a kind that nothing is served without, objects that come from
// a folder.
absl::StatusOr<std::vector<api::Kind>> KindsLeftOut(const config::Serve& config);

}  // namespace contour::serve
