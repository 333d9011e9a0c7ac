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
    std::set<std::string> clusters;  // names
    std::string secret;              // name; empty: none
    bool filter_chain = false;
  };
  // An assignment in use.
  struct AssignmentKey {
    graph::ServiceKey service;
    std::string port_name;
  };

  void UpdateHost(const std::string& host, xds::SnapshotEditor& editor);
  void CountHTTPHost(const std::string& host, bool before, bool now);
  envoy::HostLookup Lookup() const;
  bool Sharded() const { return options_.listeners.delivery == envoy::Delivery::kSharded; }
  void UpdateClusters(xds::SnapshotEditor& editor);
  void UpdateSecrets(xds::SnapshotEditor& editor, Output& output);
  void UpdateAssignments(const std::set<graph::ServiceKey>& touched, xds::SnapshotEditor& editor);
  void UpdateListeners(xds::SnapshotEditor& editor);

  Options options_;
  graph::Engine engine_;
  graph::EndpointIndex endpoints_;
  OwnIngresses ingresses_;

  std::map<std::string, HostState, std::less<>> hosts_;
  std::size_t http_hosts_ = 0;  // with routes on plain HTTP
  // Of these the wildcard hosts, by WildcardLabels(), and whether "*" is one.
  std::map<std::size_t, std::size_t> http_wildcards_;
  bool http_any_host_ = false;
  std::size_t https_hosts_ = 0;              // with a filter chain
  Shared<graph::ClusterPtr> clusters_;       // used by hosts
  Shared<graph::ServingSecretPtr> secrets_;  // used by hosts
  Shared<AssignmentKey> assignments_;        // used by clusters
  std::map<std::string, std::string> assignment_of_cluster_;
  std::map<graph::ServiceKey, std::set<std::string>> assignments_of_service_;  // names in use
  std::map<std::string, graph::ServiceKey> service_of_assignment_;             // the inverse

  // Translated once: they cost more than all else of a change.
  std::optional<std::pair<envoy::HostLookup, envoy::Resource>> http_listener_;
  std::optional<envoy::Resource> https_listener_;  // its head

  xds::SnapshotPtr snapshot_;
};

}  // namespace contour::core
