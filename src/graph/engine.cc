// SPDX-License-Identifier: Apache-2.0

#include "graph/engine.h"

#include <algorithm>
#include <iterator>
#include <set>

namespace contour::graph {
namespace {

template <typename T>
void Unify(std::vector<T>& values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

}  // namespace

Engine::Engine(Options options) : options_(std::move(options)), store_(options_) {}

Engine::Update Engine::Apply(const std::vector<api::Change>& changes) {
  std::set<std::string> dirty;
  std::vector<api::ObjectRef> touched;  // objects whose status may differ
  for (const api::Change& change : changes) {
    for (const Dependency& key : store_.Apply(change)) {
      // A host that is claimed for the first time has read nothing yet.
      if (key.type == Dependency::Type::kClaims) dirty.insert(key.ref.name);
      if (const auto readers = readers_.find(key); readers != readers_.end()) {
        for (const std::string_view host : readers->second) dirty.emplace(host);
      }
    }
    if (change.ref.kind == api::Kind::kIngressRoute) touched.push_back(change.ref);
  }

  Update update;
  for (const std::string& host : dirty) DeriveHost(host, update, touched);
  Unify(update.problems);

  Unify(touched);
  for (api::ObjectRef& ref : touched) {
    std::optional<Status> status = FoldStatus(ref);
    const auto known = statuses_.find(ref);
    if (known == statuses_.end() ? !status : status == known->second) continue;
    if (status) {
      statuses_.insert_or_assign(ref, *status);
    } else {
      statuses_.erase(known);
    }
    update.statuses.emplace_back(std::move(ref), std::move(status));
  }
  return update;
}

void Engine::DeriveHost(const std::string& name, Update& update,
                        std::vector<api::ObjectRef>& touched) {
  ++derivations_;
  Reader reader(store_);
  HostResult result = Derive(name, reader, options_);
  std::vector<Dependency> dependencies = reader.TakeDependencies();

  const auto [entry, created] = hosts_.try_emplace(name);
  Host& host = entry->second;
  const VirtualHostPtr& before = host.result.virtual_host;
  const VirtualHostPtr& now = result.virtual_host;
  const bool same = before == nullptr || now == nullptr ? before == now : *before == *now;
  if (!same) update.hosts.push_back(name);
  // What is equal stays the same object, so that those who hold it see by the pointer that nothing
  // changed.
  if (same) result.virtual_host = before;

  SetDependencies(entry->first, host.dependencies, dependencies);
  SetContributions(name, host.result.statuses, result.statuses, touched);
  std::set_difference(result.problems.begin(), result.problems.end(), host.result.problems.begin(),
                      host.result.problems.end(), std::back_inserter(update.problems));

  if (!store_.IsClaimed(name)) {
    SetDependencies(entry->first, dependencies, {});
    hosts_.erase(entry);
    return;
  }
  host.dependencies = std::move(dependencies);
  host.result = std::move(result);
}

void Engine::SetDependencies(std::string_view host, const std::vector<Dependency>& before,
                             const std::vector<Dependency>& now) {
  std::vector<const Dependency*> dropped;
  auto old_key = before.begin();
  auto new_key = now.begin();
  while (old_key != before.end() || new_key != now.end()) {
    if (new_key == now.end() || (old_key != before.end() && *old_key < *new_key)) {
      dropped.push_back(&*old_key++);
    } else if (old_key == before.end() || *new_key < *old_key) {
      readers_[*new_key++].insert(host);
    } else {
      ++old_key;
      ++new_key;
    }
  }
  for (const Dependency* key : dropped) {
    const auto readers = readers_.find(*key);
    if (readers == readers_.end()) continue;
    readers->second.erase(host);
    if (readers->second.empty()) readers_.erase(readers);
  }
}

void Engine::SetContributions(const std::string& host,
                              const std::vector<StatusContribution>& before,
                              const std::vector<StatusContribution>& now,
                              std::vector<api::ObjectRef>& touched) {
  if (before == now) return;
  for (const StatusContribution& contribution : before) {
    const auto object = contributions_.find(contribution.object);
    if (object != contributions_.end()) {
      object->second.erase({contribution.root, host});
      if (object->second.empty()) contributions_.erase(object);
    }
    touched.push_back(contribution.object);
  }
  for (const StatusContribution& contribution : now) {
    contributions_[contribution.object][{contribution.root, host}] = contribution.status;
    touched.push_back(contribution.object);
  }
}

std::optional<Status> Engine::FoldStatus(const api::ObjectRef& ref) const {
  const auto* object = api::As<api::IngressRoute>(store_.Find(ref));
  if (object == nullptr) return std::nullopt;
  if (const auto found = contributions_.find(ref); found != contributions_.end())
    return found->second.begin()->second;
  return Status{"orphaned",
                "this IngressRoute is not part of a delegation chain from a root IngressRoute", "",
                true};
}

const VirtualHostPtr& Engine::FindVirtualHost(std::string_view host) const {
  static const VirtualHostPtr kNone;
  const auto found = hosts_.find(host);
  return found == hosts_.end() ? kNone : found->second.result.virtual_host;
}

std::vector<VirtualHostPtr> Engine::VirtualHosts() const {
  std::vector<VirtualHostPtr> hosts;
  for (const auto& [name, host] : hosts_) {
    if (host.result.virtual_host != nullptr) hosts.push_back(host.result.virtual_host);
  }
  return hosts;
}

std::vector<Problem> Engine::Problems() const {
  std::vector<Problem> problems;
  for (const auto& [name, host] : hosts_) {
    problems.insert(problems.end(), host.result.problems.begin(), host.result.problems.end());
  }
  Unify(problems);
  return problems;
}

}  // namespace contour::graph
