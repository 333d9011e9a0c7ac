// SPDX-License-Identifier: Apache-2.0
// A snapshot as text that people read and compare: YAML, a section for each type, resources and parts by name.

#pragma once

#include <string>

#include "xds/snapshot.h"

namespace contour::testing {

std::string SnapshotText(const xds::Snapshot& snapshot);

}  // namespace contour::testing
