// SPDX-License-Identifier: Apache-2.0
// Where Envoy finds what a resource refers to (its endpoints, routes, certificates). It must be the
// way in which Envoy's bootstrap connects: see bootstrap.h.

#pragma once

#include <cstdint>

namespace envoy::config::core::v3 {
class ConfigSource;
}  // namespace envoy::config::core::v3

namespace contour::envoy {

enum class ConfigSource : std::uint8_t {
  kAds,        // the one aggregated stream, delta or not
  kGrpc,       // a state-of-the-world stream per type to the cluster `contour`
  kDeltaGrpc,  // a delta stream per type to the cluster `contour`
};

// Writes the reference, of xDS v3 in both transport and resources.
void SetConfigSource(ConfigSource source, ::envoy::config::core::v3::ConfigSource* message);

}  // namespace contour::envoy
