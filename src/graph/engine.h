// SPDX-License-Identifier: Apache-2.0
// Tracked derivation: keeps the objects, and for each host what was derived from them and what was
// read on the way. After a change only the hosts that read what changed are derived again; equal
// results stop there.
//
//   Engine engine(options);
//   Engine::Update update = engine.Apply(changes);
//   for (const std::string& host : update.hosts) … engine.FindVirtualHost(host) …   // nullptr: gone
//
// The result is a function of the objects alone: any history that ends in the same objects ends in
// equal virtual hosts and statuses. One thread.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "graph/derive.h"

namespace contour::graph {

class Engine {
 public:
  explicit Engine(Options options);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  struct Update {
    std::vector<std::string> hosts;  // whose virtual host came, changed or went; sorted
    // Objects whose status changed, sorted; nullopt: the object is gone, or is not ours any more.
    std::vector<std::pair<api::ObjectRef, std::optional<Status>>> statuses;
    std::vector<Problem> problems;  // that a host has now and hadn't before; sorted
  };

  Update Apply(const std::vector<api::Change>& changes);

  // All that there are, sorted.
  std::vector<Problem> Problems() const;

  // nullptr: nothing is served under the host.
  const VirtualHostPtr& FindVirtualHost(std::string_view host) const;

  // All of them, by host.
  std::vector<VirtualHostPtr> VirtualHosts() const;

  // Of IngressRoutes: those of our class all have one.
  const std::map<api::ObjectRef, Status>& statuses() const { return statuses_; }

  const api::Object* FindObject(const api::ObjectRef& ref) const { return store_.Find(ref); }

  // Derivations since the start; a measure of the work that changes cause.
  std::uint64_t derivations() const { return derivations_; }

 private:
  struct Host {
    std::vector<Dependency> dependencies;  // sorted
    HostResult result;
  };
  using Readers = std::unordered_set<std::string_view>;  // of the keys of hosts_

  // Derives the host again; notes in `update` what became different.
  void DeriveHost(const std::string& name, Update& update, std::vector<api::ObjectRef>& touched);
  void SetDependencies(std::string_view host, const std::vector<Dependency>& before,
                       const std::vector<Dependency>& now);
  void SetContributions(const std::string& host, const std::vector<StatusContribution>& before,
                        const std::vector<StatusContribution>& now,
                        std::vector<api::ObjectRef>& touched);
  // The status of an object out of what the hosts contribute; nullopt: it has none.
  std::optional<Status> FoldStatus(const api::ObjectRef& ref) const;

  Options options_;
  Store store_;
  std::map<std::string, Host, std::less<>> hosts_;
  std::unordered_map<Dependency, Readers, DependencyHash> readers_;
  // The host is part of the key, since a root that moves from one to another contributes through
  // both for a moment.
  std::map<api::ObjectRef, std::map<std::pair<RootOrder, std::string>, Status>> contributions_;
  std::map<api::ObjectRef, Status> statuses_;
  std::uint64_t derivations_ = 0;
};

}  // namespace contour::graph
