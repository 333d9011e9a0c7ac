// SPDX-License-Identifier: Apache-2.0
// Which hosts a root object speaks of, and where in it.

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "api/object.h"

namespace contour::graph {

// Where an object speaks of one host, so that deriving one of its 10,000 hosts doesn't read all of
// it. What the indexes point to is known to the kind; both lists are empty if it needs none.
struct HostPart {
  std::vector<std::uint32_t> rules;  // ascending
  std::vector<std::uint32_t> tls;    // ascending

  bool operator==(const HostPart&) const = default;
};

// The hosts that an object claims, and where it speaks of each.
using HostParts = std::map<std::string, HostPart>;

// An object's claim to a host.
struct Claim {
  const api::Object* object = nullptr;  // never null
  const HostPart* part = nullptr;       // never null
};

}  // namespace contour::graph
