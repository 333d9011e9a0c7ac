// SPDX-License-Identifier: Apache-2.0
// From changes of objects to the next snapshot: derive, translate, commit; each step only for what
// changed.
//
//   Pipeline pipeline(options);
//   Pipeline::Output output = pipeline.Apply(changes);
//   if (output.snapshot != previous) server.Publish(output.snapshot);
//
// A pure function of the objects, except for speed: any history that ends in the same objects gives
// a snapshot of the same version. One thread, no clock, no I/O.

#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "api/source.h"
#include "core/certificate_shards.h"
#include "core/own_ingresses.h"
#include "core/shared.h"
#include "core/view.h"
#include "envoy/listener.h"
#include "envoy/resource.h"
#include "graph/endpoints.h"
#include "graph/engine.h"
#include "xds/ledger.h"
#include "xds/snapshot.h"

namespace contour::core {

class Pipeline {
 public:
  struct Options {
    graph::Options graph;
    envoy::ListenerOptions listeners;
  };
  explicit Pipeline(Options options);

  struct Output {
    xds::SnapshotPtr snapshot;  // never null; the previous one if no byte changed
    std::vector<std::pair<api::ObjectRef, std::optional<graph::Status>>>
        statuses;  // see Engine::Update
    std::vector<graph::Problem> problems;
    // Ingresses that became ours (true), or went or ceased to be (false); see
    // graph/ingress_class.h.
    std::vector<std::pair<api::ObjectRef, bool>> ingresses;
    // Serving certificates that came into use or changed, by resource name; nullptr: not in use
    // now.
    std::vector<std::pair<std::string, graph::ServingSecretPtr>> secrets;
  };
  Output Apply(const std::vector<api::Change>& changes);

  const graph::Engine& engine() const { return engine_; }

  // For people; copies, at most `most_hosts` of an object's hosts. An EndpointSlice or Endpoints
  // object has the hosts of its Service.
  HostView DescribeHost(const std::string& host) const;
  ObjectView DescribeObject(const api::ObjectRef& ref, std::size_t most_hosts) const;

  // The objects that a resource, or a part of one, comes from: the Secret of a secret; of the hosts
  // that have it the first `most` roots. Costs a walk over all hosts.
  std::vector<graph::ObjectView> SourcesOf(const xds::Item& item, std::size_t most) const;

 private:
  // What a host has in the snapshot, so that it can be taken out again.
  struct HostState {
    graph::VirtualHostPtr virtual_host;
    std::string secret;  // name of its Secret; empty: none
    bool https_routes = false;
    bool filter_chain = false;  // of its own
    bool shared_chain = false;
  };
  // Hosts with routes on one of the two ports.
  class RoutedHosts {
   public:
    void Count(const std::string& host, bool before, bool now);
    std::size_t size() const { return hosts_; }
    envoy::HostLookup Lookup() const;

   private:
    std::size_t hosts_ = 0;
    std::size_t wildcards_ = 0;  // wildcard hosts among them
    bool any_host_ = false;      // true if "*" is one of them
  };

  void UpdateRoutes(const std::string& host, xds::SnapshotEditor& editor);
  void UpdateTLS(const std::vector<std::string>& hosts, xds::SnapshotEditor& editor);
  void UpdateTLSOf(HostState& host, const std::string& name, xds::SnapshotEditor& editor);
  bool IsBelowWildcard(const std::string& host) const;
  void UpdateClusters(xds::SnapshotEditor& editor);
  void UpdateSecrets(xds::SnapshotEditor& editor, Output& output);
  void UpdateAssignments(const std::set<graph::ServiceKey>& touched, xds::SnapshotEditor& editor);
  void UpdateListeners(xds::SnapshotEditor& editor);

  Options options_;
  graph::Engine engine_;
  graph::EndpointIndex endpoints_;
  OwnIngresses ingresses_;

  std::map<std::string, HostState, std::less<>> hosts_;
  RoutedHosts http_hosts_;
  RoutedHosts https_hosts_;
  std::size_t filter_chains_ = 0;  // of hosts
  std::size_t shared_hosts_ = 0;   // in the shared chain
  // Where HTTPS is sharded:
  std::set<std::string, std::less<>> wildcard_chains_;  // wildcard hosts with a filter chain
  bool wildcard_chains_changed_ = false;
  envoy::HostLookup https_lookup_;  // of the filter chains as they are
  CertificateShards certificate_shards_;
  std::map<std::string, std::size_t>
      chain_secrets_;                        // by name: filter chains of hosts that name it
  Shared<graph::ClusterPtr> clusters_;       // used by hosts
  Shared<graph::ServingSecretPtr> secrets_;  // used by hosts
  // Used by clusters; of one user's cluster the Service and the port's name count.
  Shared<graph::ClusterPtr> assignments_;

  // Translated once: they cost more than all else of a change.
  std::optional<std::pair<envoy::HostLookup, envoy::Resource>> http_listener_;
  std::optional<envoy::Resource> https_listener_;  // its head
  std::optional<std::pair<envoy::HostLookup, envoy::Resource>> shared_chain_;

  xds::SnapshotPtr snapshot_;
};

}  // namespace contour::core
