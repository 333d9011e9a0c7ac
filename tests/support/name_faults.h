// SPDX-License-Identifier: Apache-2.0
// Checks a snapshot against the virtual hosts from which it was made: every content must be served
// under its own name, and no name may stand for another content. It counts names and contents
// again, without the indexes of the pipeline.

#pragma once

#include <string>
#include <vector>

#include "core/pipeline.h"

namespace contour::testing {

// Returns one text for each fault; none for a good snapshot. `options` are those of the pipeline.
std::vector<std::string> NameFaults(const core::Pipeline& pipeline, const xds::Snapshot& snapshot,
                                    const core::Pipeline::Options& options);

}  // namespace contour::testing
