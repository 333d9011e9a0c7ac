// SPDX-License-Identifier: Apache-2.0
// graph::Assignment → Envoy's ClusterLoadAssignment (envoy.config.endpoint.v3).
//
// One locality without name or weight, the addresses in the order given. Without an address the
// message has only its name: Envoy then answers 503 for the cluster, which is what a Service scaled
// to zero means. (Removing the assignment instead would leave the old endpoints serving.)
//
// An address that isn't an IP literal is left out: Envoy would refuse the whole response.
//
// Pure, any thread, no errors.

#pragma once

#include "envoy/names.h"
#include "envoy/resource.h"
#include "graph/model/model.h"

namespace contour::envoy {

Resource TranslateAssignment(const graph::Assignment& assignment, const Names& names = {});

}  // namespace contour::envoy
