// SPDX-License-Identifier: Apache-2.0
// Finds the resources that come from a host, and the objects that a resource comes from. Events and
// /debug/explain use it.
//
// It keeps nothing of its own. The resources of a host follow from the state that the pipeline
// keeps of the host. In the other direction it uses indexes that exist for other purposes: from a
// name to the contents that have it, from a content to its Service or Secret, and from this object
// to the hosts that read it. So a question costs as much as one object has readers; it doesn't look
// at all hosts.
//
// To be used on the pipeline's thread.

#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "core/certificate_shards.h"
#include "core/served_host.h"
#include "envoy/names.h"
#include "graph/engine/engine.h"
#include "xds/session/views.h"
#include "xds/snapshot/snapshot.h"

namespace contour::core {

class Provenance {
 public:
  // The state of the pipeline, which must outlive the Provenance.
  struct State {
    const graph::Engine& engine;
    const ServedHosts& hosts;
    const ClusterIndex& clusters;
    const SecretIndex& secrets;
    const AssignmentIndex& assignments;
    const HostIndex& hashed_hosts;
    const CertificateShards& certificate_shards;
    const envoy::Names& names;
    const xds::Snapshot* snapshot;  // nullptr: none was built yet
  };
  explicit Provenance(const State& state) : state_(state) {}

  // Returns the resources and parts that the host has or shares with other hosts, by type. Some may
  // not be in the snapshot.
  std::vector<xds::ResourceKey> ResourcesOf(const std::string& host) const;

  // Returns the objects that a resource, or a part of one, comes from: the Secret of a secret; of
  // the hosts that have it the first `most` roots.
  std::vector<graph::ObjectView> SourcesOf(const xds::ResourceKey& item, std::size_t most) const;

 private:
  // Returns the hosts that may have the resource, in order; those that have it are among them.
  std::vector<std::string> CandidatesOf(const xds::ResourceKey& item) const;
  std::vector<std::string> ReadersOf(const std::vector<api::ObjectRef>& refs) const;
  // Returns the hosts whose virtual host has the name.
  std::vector<std::string> HostsNamed(const std::string& virtual_host) const;
  // Returns the Secrets that a resource of a secret is made from.
  std::vector<api::ObjectRef> SecretsOf(const std::string& resource) const;

  const State state_;
};

}  // namespace contour::core
