// SPDX-License-Identifier: Apache-2.0
// A description of a host or an object for people: the result of the derivation, and the resources
// that come from it. Plain values; any thread.

#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "graph/engine/view.h"
#include "xds/snapshot/resource.h"

namespace contour::core {

struct ResourceView {
  xds::ResourceType type = xds::ResourceType::kCluster;
  std::string name;
  std::string part;     // a virtual host or a filter chain of it; empty: the whole resource
  std::string version;  // of the part if one is named; hexadecimal
};

struct HostView {
  graph::HostView graph;
  std::vector<ResourceView> resources;  // by type
};

struct ObjectView {
  graph::ObjectView object;
  std::vector<HostView> hosts;  // the first ones of object.hosts
};

}  // namespace contour::core
