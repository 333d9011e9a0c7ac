// SPDX-License-Identifier: Apache-2.0
// The hosts that a root object claims.

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "api/object.h"

namespace contour::graph {

// The places of an object that concern one host. With them, deriving one of an object's 10,000
// hosts doesn't read the whole object. The kind knows what the indexes point to; both lists are
// empty if it needs none.
struct HostPart {
  std::vector<std::uint32_t> rules;  // ascending
  std::vector<std::uint32_t> tls;    // ascending

  bool operator==(const HostPart&) const = default;
};

// The hosts that an object claims, with the places that concern each.
using HostParts = std::map<std::string, HostPart>;

// An object's claim to a host.
struct Claim {
  const api::Object* object = nullptr;  // never null
  const HostPart* part = nullptr;       // never null
};

}  // namespace contour::graph
