// SPDX-License-Identifier: Apache-2.0
// Checks of a snapshot against the virtual hosts that it was made from: every content is served
// under the name that is its own, and nothing stands under a name for something else. Counts names
// and contents anew, without the indexes of the pipeline.

#pragma once

#include <string>
#include <vector>

#include "core/pipeline.h"

namespace contour::testing {

// One text per fault; none for a good snapshot. `options` are those that the pipeline was made
// with.
std::vector<std::string> NameFaults(const core::Pipeline& pipeline, const xds::Snapshot& snapshot,
                                    const core::Pipeline::Options& options);

}  // namespace contour::testing
