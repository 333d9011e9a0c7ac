// SPDX-License-Identifier: Apache-2.0
// Shows what is served as a graph of listeners, virtual hosts, routes, clusters, Services and
// certificates. Pure; any thread. Nothing secret is shown.

#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "envoy/names.h"
#include "graph/model/host.h"

namespace contour::report {

// Returns the graph for Graphviz (`dot -Tsvg`). The labels are those of Contour 0.15:
//
//   digraph DAG {
//   rankdir="LR"
//   "listener :80" [shape=record, label="{listener|:80}"]
//   …
//   }
//
// The order is depth first: a node comes before its children, an edge after its child. Ids depend
// on the content alone, so that two graphs can be compared. Contour 0.15 doesn't have {exact|…} for
// paths of this type, and {redirect|https} and {response|503} for answers of Envoy itself. Clusters
// have the names that `names` gives them.
//
// `further`: the number of virtual hosts that aren't among `hosts`; a comment says it.
std::string DagGraphviz(const std::vector<graph::VirtualHostPtr>& hosts,
                        const envoy::Names& names = {}, std::size_t further = 0);

// Returns the graph for programs, with details that the labels leave out.
std::string DagJson(const std::vector<graph::VirtualHostPtr>& hosts, const envoy::Names& names = {},
                    std::size_t further = 0);

}  // namespace contour::report
