// SPDX-License-Identifier: Apache-2.0
// Finds faults of a snapshot that Envoy would NACK or could not resolve: names without resources,
// domains or server names twice, hosts without routes, bytes that are no message.

#pragma once

#include <string>
#include <vector>

#include "xds/snapshot/snapshot.h"

namespace contour::testing {

// Returns one text for each fault; none for a good snapshot.
std::vector<std::string> Faults(const xds::Snapshot& snapshot);

}  // namespace contour::testing
