// SPDX-License-Identifier: Apache-2.0
// Where Envoy finds what a resource refers to (its endpoints, routes, certificates). It must be the
// way in which Envoy's bootstrap connects: see bootstrap.h.

#pragma once

#include <cstdint>

namespace envoy::config::core::v3 {
class ApiConfigSource;
class ConfigSource;
}  // namespace envoy::config::core::v3

namespace contour::envoy {

enum class ConfigSource : std::uint8_t {
  kAds,        // the one aggregated stream, delta or not
  kGrpc,       // a state-of-the-world stream per type to the cluster `contour`
  kDeltaGrpc,  // a delta stream per type to the cluster `contour`
};

// A stream to the cluster `contour`, as bootstrap and resources have it. One that breaks is opened
// again after 0.2 to 2 s: Envoy's own back-off of 0.5 to 30 s is too slow for a new leader.
void SetStream(bool delta, ::envoy::config::core::v3::ApiConfigSource* message);

// Writes the reference, of xDS v3 in both transport and resources.
void SetConfigSource(ConfigSource source, ::envoy::config::core::v3::ConfigSource* message);

}  // namespace contour::envoy
