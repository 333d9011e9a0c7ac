// SPDX-License-Identifier: Apache-2.0
// What is known of the Envoys: copies for metrics, debug pages and logs. Plain values, any thread.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "xds/resource.h"

namespace contour::xds {

// A response that an Envoy refused. It names the response, not the resource at fault: of the others
// in it Envoy may have applied some.
struct Rejection {
  ResourceType type = ResourceType::kCluster;
  std::string node_id;
  std::string peer;                // address of the connection
  std::string words;               // Envoy's error_detail.message
  std::vector<std::string> names;  // of what the response changed, sorted
};

// One resource on one Envoy. Versions as on the wire; nullopt: none.
struct LedgerEntry {
  ResourceType type = ResourceType::kCluster;
  std::string name;
  std::optional<std::string> sent;
  std::optional<std::string> acknowledged;
  std::optional<std::string> rejected;
  std::string words;                    // Envoy's about `rejected`
  std::vector<std::string> held_parts;  // wait for clusters; "" is the resource as a whole
  bool retained = false;                // no longer in the snapshot, but still in use there
  bool cold = false;                    // a cluster that isn't known to be warm
};

// One Envoy: an ADS stream, or the streams per type of one connection.
struct SessionView {
  std::string node_id;
  std::string peer;
  bool aggregated = false;
  std::size_t streams = 0;
  std::vector<LedgerEntry> entries;  // by type, then name
};

// Counted since the start, unless it says otherwise.
struct Counters {
  std::array<std::uint64_t, kResourceTypes> responses = {};  // by ResourceType
  std::array<std::uint64_t, kResourceTypes> rejections = {};
  std::uint64_t released =
      0;  // parts and resources announced by the time-out, their clusters still cold

  Counters& operator+=(const Counters& other) {
    for (std::size_t i = 0; i < kResourceTypes; ++i) {
      responses[i] += other.responses[i];
      rejections[i] += other.rejections[i];
    }
    released += other.released;
    return *this;
  }
};

struct Metrics {
  Counters counters;
  std::uint64_t bytes = 0;  // of responses, before compression and TLS
  std::uint64_t streams_opened = 0;
  std::size_t streams = 0;   // open now
  std::size_t sessions = 0;  // Envoys now
  std::size_t held = 0;      // parts and resources that wait for clusters now

  Metrics& operator+=(const Metrics& other) {
    counters += other.counters;
    bytes += other.bytes;
    streams_opened += other.streams_opened;
    streams += other.streams;
    sessions += other.sessions;
    held += other.held;
    return *this;
  }
};

}  // namespace contour::xds
