// SPDX-License-Identifier: Apache-2.0
// Limits of a Service, by its annotations.

#pragma once

#include "api/object.h"
#include "graph/model/cluster.h"

namespace contour::graph {

// Reads max-connections, max-pending-requests, max-requests and max-retries of a Service, and under
// projectcontour.io/ per-host-max-connections. A text that is no
// positive number counts as unset; too large a number is the largest.
CircuitBreakers ParseCircuitBreakers(const api::Meta& service);

}  // namespace contour::graph
