// SPDX-License-Identifier: Apache-2.0
// What Envoy would refuse or could not follow in a snapshot: names without resources, domains or
// server names twice, hosts without routes, bytes that are no message.

#pragma once

#include <string>
#include <vector>

#include "xds/snapshot/snapshot.h"

namespace contour::testing {

// One text per fault; none for a good snapshot.
std::vector<std::string> Faults(const xds::Snapshot& snapshot);

}  // namespace contour::testing
