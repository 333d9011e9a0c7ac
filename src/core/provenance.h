// SPDX-License-Identifier: Apache-2.0
// Which resources come from a host, and which objects a resource comes from: Events, explain and
// diff ask for it.
//
// Nothing is kept for it. A host's resources follow from what the pipeline keeps of the host. The
// way back goes by indexes that there are anyway: a name leads to the contents that have it, these
// to their Service or Secret, and that to the hosts that have read it. So a question costs the
// hosts that read one object, and not a walk over all.
//
// One thread: the pipeline's.

#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "core/certificate_shards.h"
#include "core/served_host.h"
#include "envoy/names.h"
#include "graph/engine/engine.h"
#include "xds/session/ledger.h"
#include "xds/snapshot/snapshot.h"

namespace contour::core {

class Provenance {
 public:
  // The pipeline's state, which must live as long as this.
  struct State {
    const graph::Engine& engine;
    const ServedHosts& hosts;
    const ClusterIndex& clusters;
    const SecretIndex& secrets;
    const AssignmentIndex& assignments;
    const HostIndex& hashed_hosts;
    const CertificateShards& certificate_shards;
    const envoy::Names& names;
    const xds::Snapshot& snapshot;
  };
  explicit Provenance(const State& state) : state_(state) {}

  // Returns the resources and parts that the host has or shares with others, by type. Some of them
  // may not be in the snapshot.
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
