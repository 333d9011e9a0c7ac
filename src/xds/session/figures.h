// SPDX-License-Identifier: Apache-2.0
// The figures of one session that its parts keep up as it goes on, so that reading them costs
// nothing.
//
// Thread: one at a time per session.

#pragma once

#include <cstddef>
#include <cstdint>

#include "xds/session/tally.h"
#include "xds/session/views.h"

namespace contour::xds {

struct SessionFigures {
  std::size_t held_parts = 0;       // that wait for clusters
  std::size_t unknown_secrets = 0;  // subscribed, and nobody serves them
  std::size_t node_faults = 0;      // resources that the Envoy can't take because of its node
  Times unanswered;                 // when the responses were made that aren't answered yet
  // How many names, parts, clusters and other entries of tables were looked at since the start.
  std::uint64_t examined = 0;
  Counters counters;
};

}  // namespace contour::xds
