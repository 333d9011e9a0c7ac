// SPDX-License-Identifier: Apache-2.0
// What is served, as a graph: listeners, virtual hosts, routes, clusters, services, certificates.
// Pure, any thread; nothing secret in it.

#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "envoy/names.h"
#include "graph/model/host.h"

namespace contour::report {

// For Graphviz (`dot -Tsvg`). The labels are those of Contour 0.15:
//
//   digraph DAG {
//   rankdir="LR"
//   "listener :80" [shape=record, label="{listener|:80}"]
//   …
//   }
//
// Depth first: a node stands before its children, an edge after its child. Ids follow from the
// content, so that two graphs can be compared. Of ours: {exact|…} for paths of this type,
// {redirect|https} and {response|503} for what Envoy answers itself. Clusters are called by
// `names`.
//
// `further`: how many virtual hosts aren't among `hosts`; said in a comment.
std::string DagGraphviz(const std::vector<graph::VirtualHostPtr>& hosts,
                        const envoy::Names& names = {}, std::size_t further = 0);

// The same for programs, with what the labels leave out.
std::string DagJson(const std::vector<graph::VirtualHostPtr>& hosts, const envoy::Names& names = {},
                    std::size_t further = 0);

}  // namespace contour::report
