// SPDX-License-Identifier: Apache-2.0
// Reads --without, which names the kinds that are not read.

#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "api/object.h"
#include "config/serve.h"

namespace contour::serve {

// Fails if a name is no kind, if nothing can be served without the kind, or if objects come from a
// folder.
absl::StatusOr<std::vector<api::Kind>> KindsLeftOut(const config::Serve& config);

}  // namespace contour::serve
