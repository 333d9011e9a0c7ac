// SPDX-License-Identifier: Apache-2.0
// The protocol that a Service's port speaks, by the Service's annotations.

#pragma once

#include <cstdint>
#include <string_view>

#include "api/object.h"
#include "graph/model/cluster.h"

namespace contour::graph {

// Reads upstream-protocol.{h2,h2c,tls} of a Service for one of its ports. A match by name beats one
// by number; of several lists the last of h2, h2c, tls wins.
Protocol UpstreamProtocol(const api::Meta& service, std::string_view port_name, std::int32_t port);

}  // namespace contour::graph
