// SPDX-License-Identifier: Apache-2.0
// Writes the config source of the endpoints, routes or certificates that a resource refers to. It
// must match the way in which Envoy's bootstrap connects: see bootstrap.h.

#pragma once

#include <cstdint>

namespace envoy::config::core::v3 {
class ApiConfigSource;
class ConfigSource;
}  // namespace envoy::config::core::v3

namespace contour::envoy {

enum class ConfigSource : std::uint8_t {
  kAds,        // the aggregated stream, incremental or not
  kGrpc,       // a state-of-the-world stream per type to the cluster `contour`
  kDeltaGrpc,  // a delta stream per type to the cluster `contour`
};

// Writes a stream to the cluster `contour`, in the form of both bootstrap and resources. Envoy
// opens a stream that breaks again after 0.2 to 2 s; its default back-off of 0.5 to 30 s is too
// slow for a new leader.
void SetStream(bool delta, ::envoy::config::core::v3::ApiConfigSource* message);

// Writes the config source, with xDS v3 for both transport and resources.
void SetConfigSource(ConfigSource source, ::envoy::config::core::v3::ConfigSource* message);

}  // namespace contour::envoy
