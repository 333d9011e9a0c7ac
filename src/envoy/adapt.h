// SPDX-License-Identifier: Apache-2.0
// Replaces the config sources in a resource. Translated resources refer to the aggregated stream
// (ADS); an Envoy with a stream per type must be sent the cluster `contour` instead.
//
// This costs a parse and a serialization, so it is for the xDS modes that aren't the default. Pure,
// any thread. Bytes that aren't such a message are returned as they are.

#pragma once

#include <string>
#include <string_view>

#include "envoy/config_source.h"

namespace contour::envoy {

// Returns an envoy.config.cluster.v3.Cluster that takes its endpoints from `source`.
std::string AdaptCluster(std::string_view bytes, ConfigSource source);

// Returns an envoy.config.listener.v3.Listener whose filter chains take routes and certificates
// from `source`.
std::string AdaptListener(std::string_view bytes, ConfigSource source);

}  // namespace contour::envoy
