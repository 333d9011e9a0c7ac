// SPDX-License-Identifier: Apache-2.0
// The values by which a session and the quarantine speak about contents that Envoys rejected.
//
// Thread: plain values, any thread.

#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "xds/snapshot/resource.h"

namespace contour::xds {

// A good content of a resource or a part, with the resources that it needs.
struct GoodContent {
  PartPtr part;          // set for a part
  ResourcePtr resource;  // set otherwise; of a composite resource only the head counts
  std::vector<std::pair<ResourceType, ResourcePtr>> needs;

  explicit operator bool() const { return part != nullptr || resource != nullptr; }
};

// A content that an Envoy rejected while it acked the rest.
struct Culprit {
  ResourceKey key;
  Hash128 version;
  GoodContent good;  // the one that this Envoy runs, if any
  std::string error_message;
  std::string node_id;
  std::string peer;
};

// Says how the Envoys of one worker stand to a content.
struct Opinion {
  bool runs = false;  // one of them runs it or acked it before it left
  GoodContent good;   // the content that one of them runs instead
};

}  // namespace contour::xds
