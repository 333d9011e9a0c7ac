// SPDX-License-Identifier: Apache-2.0
// Where a resource says from where to take others, put another place: translated resources name the
// aggregated stream, and an Envoy that has a stream per type must be sent the cluster `contour`
// instead.
//
// Costs a parse and a serialisation, so it is for the modes that aren't the default. Pure, any
// thread. Bytes that aren't such a message come back as they are.

#pragma once

#include <string>
#include <string_view>

#include "envoy/config_source.h"

namespace contour::envoy {

// Of an envoy.config.cluster.v3.Cluster: its endpoints.
std::string AdaptCluster(std::string_view bytes, ConfigSource source);

// Of an envoy.config.listener.v3.Listener: routes and certificates of its filter chains.
std::string AdaptListener(std::string_view bytes, ConfigSource source);

}  // namespace contour::envoy
