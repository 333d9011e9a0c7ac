// SPDX-License-Identifier: Apache-2.0
// Makes the next snapshot from changes of objects: it derives, translates and commits, each step
// only for what changed.
//
// Example, given `const Pipeline::Options& options` and `const std::vector<api::Change>& changes`:
//   Pipeline pipeline(options);
//   const Pipeline::Output output = pipeline.Apply(changes);
//   const xds::SnapshotPtr next = output.snapshot;
//
// The snapshot is a pure function of the objects: any history that ends in the same objects gives a
// snapshot of the same version. To be used on one thread; it has no clock and no I/O.

#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "api/source.h"
#include "core/certificate_shards.h"
#include "core/name_index.h"
#include "core/own_ingresses.h"
#include "core/provenance.h"
#include "core/served_host.h"
#include "core/view.h"
#include "envoy/listener.h"
#include "envoy/names.h"
#include "envoy/resource.h"
#include "graph/engine/endpoint_index.h"
#include "graph/engine/engine.h"
#include "graph/model/certificate.h"
#include "graph/model/cluster.h"
#include "graph/model/endpoints.h"
#include "graph/model/host.h"
#include "graph/model/status.h"
#include "xds/session/views.h"
#include "xds/snapshot/snapshot.h"

namespace contour::core {

class Pipeline {
 public:
  struct Options {
    graph::Options graph;
    envoy::ListenerOptions listeners;
    std::size_t hash_digits = envoy::kHashDigits;  // fewer in tests only
  };
  explicit Pipeline(Options options);

  // A name that several contents have. They get other names; or the name is closed, and none of
  // them is served under it.
  struct NameConflict {
    xds::ResourceType type = xds::ResourceType::kCluster;
    std::string name;
    bool closed = false;
    bool begins = true;  // false: the conflict has ended

    auto operator<=>(const NameConflict&) const = default;
  };
  struct NameCounts {
    std::array<std::size_t, xds::kResourceTypes> contested =
        {};  // names that several contents have
    std::array<std::size_t, xds::kResourceTypes> closed = {};
  };

  struct Output {
    xds::SnapshotPtr snapshot;  // never null; the previous one if no byte changed
    std::vector<std::pair<api::ObjectRef, std::optional<graph::Status>>>
        statuses;  // see Engine::Update
    std::vector<graph::Problem> problems;
    // Ingresses that became ours (true), or were deleted or ceased to be ours (false); see
    // graph/kinds/ingress/ingress_class.h.
    std::vector<std::pair<api::ObjectRef, bool>> ingresses;
    // Serving certificates that came into use or changed, by resource name; nullptr: not in use
    // now.
    std::vector<std::pair<std::string, graph::ServingSecretPtr>> secrets;
    std::vector<NameConflict> conflicts;  // those that begin or end
    NameCounts names;
  };
  Output Apply(const std::vector<api::Change>& changes);

  // Sets the assignments and secrets that the snapshot keeps from the next Apply on even if nothing
  // uses them, since resources that Envoys still have do. It doesn't change those that are used. A
  // secret that is gone, or has become unusable, stays as it was. Names that don't tell their
  // object, because they were shortened or have a hash, are ignored.
  void Follow(const xds::StandInNeeds& needs);

  const graph::Engine& engine() const { return engine_; }
  const envoy::Names& names() const { return names_; }
  NameCounts CountNames() const;

  // Return copies for people to read, with at most `most_hosts` of an object's hosts. An
  // EndpointSlice or Endpoints object has the hosts of its Service.
  HostView DescribeHost(const std::string& host) const;
  ObjectView DescribeObject(const api::ObjectRef& ref, std::size_t most_hosts) const;

  // Returns a view that is valid until the next Apply. Before the first one it knows nothing.
  Provenance provenance() const;

 private:
  using Hosts = std::set<std::string>;
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

  // Takes the host's virtual host from the engine, and adds the contents that it uses to the
  // indexes.
  void UpdateHost(const std::string& host);
  // Adds the hosts whose clusters, secret or virtual host have another name now.
  void AddRenamed(const ClusterIndex::Changes& clusters, const SecretIndex::Changes& secrets,
                  const HostIndex::Changes& host_names, Hosts& hosts) const;
  void UpdateRoutes(const std::string& host, xds::SnapshotEditor& editor);
  void SetRoutes(const std::string& host, bool https, std::optional<envoy::Resource> routes,
                 xds::SnapshotEditor& editor);
  void UpdateTLS(const Hosts& hosts, xds::SnapshotEditor& editor);
  void UpdateTLSOf(ServedHost& host, const std::string& name, xds::SnapshotEditor& editor);
  void UpdateChainSecret(ServedHost& host, graph::ServingSecretPtr secret);
  bool IsBelowWildcard(const std::string& host) const;
  void UpdateClusters(ClusterIndex::Changes changes, xds::SnapshotEditor& editor);
  void UpdateSecrets(const SecretIndex::Changes& changes, const std::vector<api::Change>& objects,
                     xds::SnapshotEditor& editor, Output& output);
  void UpdateSecret(const std::string& name, const std::optional<graph::ServingSecretPtr>& secret,
                    xds::SnapshotEditor& editor);
  void UpdateAssignments(const std::set<graph::ServiceKey>& touched, xds::SnapshotEditor& editor,
                         Output& output);
  void UpdateListeners(xds::SnapshotEditor& editor);
  // Returns the content of a secret that is followed; nullptr: there is none that can be served.
  graph::ServingSecretPtr FindFollowed(const std::string& secret);

  Options options_;
  graph::Engine engine_;
  graph::EndpointIndex endpoints_;
  OwnIngresses ingresses_;

  ServedHosts hosts_;
  RoutedHosts http_hosts_;
  RoutedHosts https_hosts_;
  std::size_t filter_chains_ = 0;  // the number of chains of hosts
  std::size_t shared_hosts_ = 0;   // the number of hosts in the shared chain
  // Where HTTPS is sharded:
  std::set<std::string, std::less<>> wildcard_chains_;  // wildcard hosts with a filter chain
  bool wildcard_chains_changed_ = false;
  envoy::HostLookup https_lookup_;  // the one that the current filter chains have
  CertificateShards certificate_shards_;
  // The number of filter chains of hosts that name the secret.
  std::map<graph::ServingSecretPtr, std::size_t, graph::ByContent> chain_secrets_;
  // Secrets that the first filter chain has begun to name, or the last one ceased to.
  std::set<graph::ServingSecretPtr, graph::ByContent> dirty_secrets_;
  ClusterIndex clusters_;        // used by hosts
  SecretIndex secrets_;          // used by hosts
  AssignmentIndex assignments_;  // used by clusters
  HostIndex hashed_hosts_;       // whose virtual hosts are named by a hash
  // The contents that are followed, used or not, by the names of their resources.
  std::map<std::string, graph::AssignmentKey> followed_assignments_;
  std::map<std::string, std::pair<std::string, std::string>> followed_secrets_;  // namespace, name
  xds::StandInNeeds refollowed_;  // names that came or went since the last Apply
  envoy::Names names_;

  // Kept, since their translation costs more than the rest of a change.
  std::optional<std::pair<envoy::HostLookup, envoy::Resource>> http_listener_;
  std::optional<envoy::Resource> https_listener_;  // its head
  std::optional<std::pair<envoy::HostLookup, envoy::Resource>> shared_chain_;

  xds::SnapshotPtr snapshot_;
};

}  // namespace contour::core
