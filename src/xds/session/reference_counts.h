// SPDX-License-Identifier: Apache-2.0
// Counts who refers to which names, so that the question whether anybody still refers to a name
// costs nothing, and the end of the last reference is returned instead of searched for.
//
//   ReferenceCounts counts;
//   counts.Set({ResourceType::kRoutes, "ingress_http", stream}, {.names = {"a", "b"}});
//   const auto ended = counts.Set({ResourceType::kRoutes, "ingress_http", stream}, {});
//   // ended.names: "a" and "b", as far as no other holder refers to them
//
// Used by cluster_references.h.
//
// Cost: that of the holder's own names, never of all. Holders without references take no memory.
// Thread: as a value.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "xds/snapshot/resource.h"

namespace contour::xds {

class ReferenceCounts {
 public:
  // Names a resource of one stream. Stream 0 stands for streams that have ended.
  struct Holder {
    ResourceType type = ResourceType::kCluster;
    std::string name;
    std::uint64_t stream = 0;
  };
  struct References {
    std::vector<std::string> names;  // in any order, also several times
    bool unknown = false;            // the holder may refer to anything
  };
  // Lists names to which nobody refers now; `unknown`: no holder may refer to anything now.
  using Ended = References;

  // Sets what the holder refers to from now on.
  Ended Set(const Holder& holder, References references);

  // True if somebody refers to the name, or may.
  bool Contains(std::string_view name) const { return unknown_ > 0 || counts_.contains(name); }

  // Returns the streams of which the resource refers to something.
  std::vector<std::uint64_t> StreamsOf(ResourceType type, const std::string& name) const;

 private:
  void Count(const References& references);
  Ended Discount(const References& references);

  // By type and name of the holder, with its stream; none without references.
  std::array<StringMap<std::vector<std::pair<std::uint64_t, References>>>, kResourceTypes> holders_;
  StringMap<std::size_t> counts_;  // by name
  std::size_t unknown_ = 0;
};

}  // namespace contour::xds
