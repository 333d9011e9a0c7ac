// SPDX-License-Identifier: Apache-2.0
// A snapshot as text that people read and compare: YAML, a section for each type, resources by
// name. The listener stats-health, which is the same for all objects, is left out.

#pragma once

#include <string>

#include "xds/snapshot.h"

namespace contour::testing {

std::string SnapshotText(const xds::Snapshot& snapshot);

}  // namespace contour::testing
