// SPDX-License-Identifier: Apache-2.0

#include "core/served_host.h"

#include <variant>
#include <vector>

#include "graph/model/route.h"

namespace contour::core {
namespace {

void Collect(const std::vector<graph::WeightedCluster>& weighted, graph::ClusterSet& clusters) {
  for (const graph::WeightedCluster& one : weighted) clusters.insert(one.cluster);
}

}  // namespace

graph::ClusterSet ClustersOf(const graph::VirtualHostPtr& host) {
  graph::ClusterSet clusters;
  if (host == nullptr) return clusters;
  const auto collect = [&](const std::vector<graph::Route>& routes) {
    for (const graph::Route& route : routes) {
      if (const auto* action = std::get_if<graph::RouteAction>(&route.action))
        Collect(action->clusters, clusters);
    }
  };
  for (const graph::ListenerHost& served : host->listeners) {
    collect(served.routes);
    if (served.tcp_proxy) Collect(served.tcp_proxy->clusters, clusters);
  }
  return clusters;
}

graph::ServingSecretPtr SecretOf(const graph::VirtualHostPtr& host) {
  const graph::ListenerHost* https = host == nullptr ? nullptr : host->Find(graph::kHTTPSListener);
  return https == nullptr ? nullptr : https->secret;
}

}  // namespace contour::core
