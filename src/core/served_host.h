// SPDX-License-Identifier: Apache-2.0
// The state that the pipeline keeps between two batches and that Provenance reads: the resources of
// each host, and the indexes of the names in use.

#pragma once

#include <map>
#include <string>

#include "core/name_index.h"
#include "graph/model/certificate.h"
#include "graph/model/cluster.h"
#include "graph/model/endpoints.h"
#include "graph/model/host.h"

namespace contour::core {

// The resources that a host has in the snapshot, so that they can be removed again.
struct ServedHost {
  graph::VirtualHostPtr virtual_host;
  graph::ServingSecretPtr chain_secret;  // named by its filter chain; nullptr: none
  bool http_routes = false;
  bool https_routes = false;
  bool filter_chain = false;  // it has one of its own
  bool shared_chain = false;
};
using ServedHosts = std::map<std::string, ServedHost, std::less<>>;

using ClusterIndex = NameIndex<graph::ClusterPtr, graph::ByContent>;
using SecretIndex = NameIndex<graph::ServingSecretPtr, graph::ByContent>;
using AssignmentIndex = NameIndex<graph::AssignmentKey>;
using HostIndex = NameIndex<std::string>;

// Returns the clusters to which the host's routes and TCP proxy lead; none for a host that isn't
// served (nullptr).
graph::ClusterSet ClustersOf(const graph::VirtualHostPtr& host);

// Returns the certificate with which the host is served; nullptr: none.
graph::ServingSecretPtr SecretOf(const graph::VirtualHostPtr& host);

}  // namespace contour::core
