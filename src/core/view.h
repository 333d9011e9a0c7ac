// SPDX-License-Identifier: Apache-2.0
// What the core knows of a host or of an object, to be shown to people: what was derived, and the
// resources that came out of it. Plain values, any thread.

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
  std::string part;     // of it: a virtual host or a filter chain; empty: the whole
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
