// SPDX-License-Identifier: Apache-2.0
// The engine keeps the objects, and for each host the result of its derivation and the keys that it
// read. After a change only the hosts that read a changed key are derived again, and equal results
// cause no further work.
//
//   Engine engine(options, Kinds());
//   Engine::Update update = engine.Apply(changes);
//   for (const std::string& host : update.hosts) … engine.FindVirtualHost(host) …  // nullptr: gone
//
// The result is a function of the objects alone: any history that ends in the same objects ends in
// equal virtual hosts, statuses and problems. One thread.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "graph/engine/derive.h"
#include "graph/engine/view.h"
#include "graph/model/host.h"
#include "graph/model/status.h"

namespace contour::graph {

class Engine {
 public:
  // `kinds` outlives the engine.
  Engine(Options options, const KindTable& kinds);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  struct Update {
    std::vector<std::string> hosts;  // whose virtual host came, changed or went; sorted
    // Objects whose status changed, sorted; nullopt: the object is gone, or is not ours any more.
    std::vector<std::pair<api::ObjectRef, std::optional<Status>>> statuses;
    std::vector<Problem> problems;  // that a host has now and hadn't before; sorted
  };

  Update Apply(const std::vector<api::Change>& changes);

  // Returns all problems that there are, sorted.
  std::vector<Problem> Problems() const;

  // Returns nullptr if nothing is served under the host.
  const VirtualHostPtr& FindVirtualHost(std::string_view host) const;

  // Returns all of them, by host.
  std::vector<VirtualHostPtr> VirtualHosts() const;

  // Returns the status of an object; nullptr: it isn't there, or has none of ours.
  const Status* FindStatus(const api::ObjectRef& ref) const;

  // Returns copies of all.
  std::map<api::ObjectRef, Status> Statuses() const;

  // Return copies for people. A host that nobody claims has an empty view, as has an unknown
  // object.
  HostView DescribeHost(const std::string& host) const;
  ObjectView DescribeObject(const api::ObjectRef& ref) const;

  const api::Object* FindObject(const api::ObjectRef& ref) const { return store_.Find(ref); }

  // See Store::Checked.
  template <typename T>
  const T* FindChecked(const std::string& ns, const std::string& name) {
    return store_.Checked<T>({T::Object::kKind, ns, name});
  }

  // Returns the number of derivations since the start, a measure of the work that changes cause.
  std::uint64_t derivations() const { return derivations_; }

 private:
  struct Host;
  using HostNode = std::pair<const std::string, Host>;  // of hosts_; stays where it is
  using Readers = std::unordered_map<Dependency, std::unordered_set<HostNode*>, DependencyHash,
                                     DependencyEqual>;
  struct Host {
    std::vector<Readers::value_type*> dependencies;  // sorted by address
    HostResult result;
  };
  using Parent = std::optional<std::uint16_t>;  // see StatusEntry
  // Orders by the parent, then by the root's order.
  struct ContributionOrder {
    using is_transparent = void;
    bool operator()(const StatusContribution* a, const StatusContribution* b) const;
    bool operator()(const Parent& parent, const StatusContribution* b) const;
  };
  struct ObjectStatus {
    // Holds the contributions of hosts to the object's status; for each parent the first one
    // counts. Every host may delegate to one object, so one of them comes and goes without a look
    // at the others.
    std::set<const StatusContribution*, ContributionOrder> contributions;
    Status told;  // the last one that an update told of; without entries: none
  };
  using ObjectStatuses = std::unordered_map<api::ObjectRef, ObjectStatus, ObjectRefHash>;

  // Adds the hosts that must be derived again after a change of a key.
  void AddReaders(const DependencyView& key, std::set<std::string_view>& dirty) const;
  // Derives the host again; notes in `update` what became different.
  void DeriveHost(HostNode& node, Update& update);
  void SetDependencies(HostNode& node, const std::vector<Dependency>& keys);
  void AddContributions(const std::vector<StatusContribution>& contributions);
  void RemoveContributions(const std::vector<StatusContribution>& contributions);
  // Returns the status of an object as it should be now; without entries: none.
  Status Fold(const api::ObjectRef& ref, const ObjectStatus& object) const;
  // Compares the statuses of the touched objects with those of the last update.
  void TellStatuses(Update& update);

  Options options_;
  const KindTable& kinds_;
  Store store_;
  std::map<std::string, Host, std::less<>> hosts_;
  Readers readers_;
  ObjectStatuses object_statuses_;
  std::vector<ObjectStatuses::value_type*> touched_;  // since the last TellStatuses
  std::uint64_t derivations_ = 0;
};

}  // namespace contour::graph
