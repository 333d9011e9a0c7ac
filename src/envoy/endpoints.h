// SPDX-License-Identifier: Apache-2.0
// Translates graph::Assignment into Envoy's ClusterLoadAssignment (envoy.config.endpoint.v3).
//
// The result has one locality without name or weight, with the addresses in the order given.
// Without an address the message has only its name: Envoy then answers 503 for the cluster, as it
// should for a Service scaled to zero. (If the assignment were removed instead, Envoy would keep
// the old endpoints.)
//
// An address that isn't an IP literal is left out: Envoy would NACK the whole response.
//
// Pure, any thread, no errors.

#pragma once

#include "envoy/names.h"
#include "envoy/resource.h"
#include "graph/model/endpoints.h"

namespace contour::envoy {

Resource TranslateAssignment(const graph::Assignment& assignment, const Names& names = {});

}  // namespace contour::envoy
