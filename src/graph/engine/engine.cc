// SPDX-License-Identifier: Apache-2.0

#include "graph/engine/engine.h"

#include <algorithm>
#include <iterator>
#include <memory>

#include "graph/model/host.h"
#include "graph/model/status.h"

namespace contour::graph {
namespace {

template <typename T>
void Unify(std::vector<T>& values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

}  // namespace

// Two hosts can say something in the name of one root only while a batch in which it moves from one
// to the other is under way.
bool Engine::ContributionOrder::operator()(const StatusContribution* a,
                                           const StatusContribution* b) const {
  if (a->status->parent != b->status->parent) return a->status->parent < b->status->parent;
  if (a->root != b->root) {
    if (const auto order = *a->root <=> *b->root; order != 0) return order < 0;
  }
  return std::less<>()(a, b);
}

bool Engine::ContributionOrder::operator()(const Parent& parent,
                                           const StatusContribution* b) const {
  return parent < b->status->parent;
}

Engine::Engine(Options options, const KindTable& kinds)
    : options_(std::move(options)), kinds_(kinds), store_(options_, kinds_) {}

Engine::Update Engine::Apply(const std::vector<api::Change>& changes) {
  std::set<std::string_view> dirty;  // keys of hosts_
  for (const api::Change& change : changes) {
    const Store::Effect effect = store_.Apply(change);
    if (!effect.object) continue;
    AddReaders(DependencyView::Object(change.ref), dirty);
    for (const std::string& host : effect.hosts) {
      // A host that is claimed for the first time has read nothing yet.
      dirty.insert(hosts_.try_emplace(host).first->first);
    }
    for (const IndexKey& key : effect.index_keys)
      AddReaders(DependencyView::Index(change.ref.kind, key), dirty);
    if (kinds_.RowOf(change.ref.kind).initial_status != nullptr) {
      touched_.push_back(&*object_statuses_.try_emplace(change.ref).first);
    }
  }

  Update update;
  for (const std::string_view host : dirty) {
    const auto node = hosts_.find(host);
    DeriveHost(*node, update);
    if (!store_.IsClaimed(host)) hosts_.erase(node);  // nothing is derived for it, nothing is read
  }
  Unify(update.problems);
  TellStatuses(update);
  return update;
}

void Engine::AddReaders(const DependencyView& key, std::set<std::string_view>& dirty) const {
  const auto readers = readers_.find(key);
  if (readers == readers_.end()) return;
  for (const HostNode* host : readers->second) dirty.insert(host->first);
}

void Engine::DeriveHost(HostNode& node, Update& update) {
  ++derivations_;
  auto& [name, host] = node;
  Reader reader(store_);
  HostResult result = Derive(name, reader, options_, kinds_);

  const VirtualHostPtr& before = host.result.virtual_host;
  const VirtualHostPtr& now = result.virtual_host;
  const bool same = before == nullptr || now == nullptr ? before == now : *before == *now;
  if (!same) update.hosts.push_back(name);
  // An equal virtual host stays the same object, so that its users see by the pointer that nothing
  // changed.
  if (same) result.virtual_host = before;

  std::set_difference(result.problems.begin(), result.problems.end(), host.result.problems.begin(),
                      host.result.problems.end(), std::back_inserter(update.problems));

  SetDependencies(node,
                  store_.IsClaimed(name) ? reader.TakeDependencies() : std::vector<Dependency>());
  if (result.statuses == host.result.statuses) {
    // Pointers to them stay valid.
    result.statuses = std::move(host.result.statuses);
    host.result = std::move(result);
  } else {
    RemoveContributions(host.result.statuses);
    host.result = std::move(result);
    AddContributions(host.result.statuses);
  }
}

void Engine::SetDependencies(HostNode& node, const std::vector<Dependency>& keys) {
  std::vector<Readers::value_type*> now;
  now.reserve(keys.size());
  for (const Dependency& key : keys) {
    auto entry = readers_.find(DependencyView(key));
    if (entry == readers_.end()) entry = readers_.try_emplace(key).first;
    now.push_back(&*entry);
  }
  std::sort(now.begin(), now.end());

  std::vector<Readers::value_type*>& before = node.second.dependencies;
  for (Readers::value_type* entry : now) {
    if (!std::binary_search(before.begin(), before.end(), entry)) entry->second.insert(&node);
  }
  for (Readers::value_type* entry : before) {
    if (std::binary_search(now.begin(), now.end(), entry)) continue;
    entry->second.erase(&node);
    if (entry->second.empty()) readers_.erase(readers_.find(DependencyView(entry->first)));
  }
  before = std::move(now);
}

void Engine::AddContributions(const std::vector<StatusContribution>& contributions) {
  for (const StatusContribution& contribution : contributions) {
    auto& entry = *object_statuses_.try_emplace(contribution.object).first;
    entry.second.contributions.insert(&contribution);
    touched_.push_back(&entry);
  }
}

void Engine::RemoveContributions(const std::vector<StatusContribution>& contributions) {
  for (const StatusContribution& contribution : contributions) {
    auto& entry = *object_statuses_.find(contribution.object);
    entry.second.contributions.erase(&contribution);
    touched_.push_back(&entry);
  }
}

Status Engine::Fold(const api::ObjectRef& ref, const ObjectStatus& object) const {
  const auto initial = kinds_.RowOf(ref.kind).initial_status;
  if (initial == nullptr || store_.Find(ref) == nullptr) return {};
  if (object.contributions.empty()) return initial();
  Status status;
  for (auto first = object.contributions.begin(); first != object.contributions.end();) {
    const StatusEntryPtr& entry = (*first)->status;
    status.entries.push_back(entry);
    first = object.contributions.upper_bound(entry->parent);
  }
  return status;
}

void Engine::TellStatuses(Update& update) {
  Unify(touched_);
  for (ObjectStatuses::value_type* entry : touched_) {
    const api::ObjectRef& ref = entry->first;
    ObjectStatus& object = entry->second;
    Status status = Fold(ref, object);
    const bool none = status.entries.empty();
    const bool same = status == object.told;
    object.told = std::move(status);
    if (!same) update.statuses.emplace_back(ref, none ? std::nullopt : std::optional(object.told));
    if (none && object.contributions.empty()) object_statuses_.erase(object_statuses_.find(ref));
  }
  touched_.clear();
  std::sort(update.statuses.begin(), update.statuses.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
}

std::vector<Problem> Engine::Problems() const {
  std::vector<Problem> problems;
  for (const auto& [name, host] : hosts_) {
    problems.insert(problems.end(), host.result.problems.begin(), host.result.problems.end());
  }
  Unify(problems);
  return problems;
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

HostView Engine::DescribeHost(const std::string& host) const {
  HostView view;
  view.host = host;
  const auto found = hosts_.find(host);
  if (found == hosts_.end()) return view;
  const auto& [dependencies, result] = found->second;
  view.virtual_host = result.virtual_host;
  for (const Claim& claim : store_.Claims(host)) view.roots.push_back(claim.object->Ref());
  for (const Readers::value_type* entry : dependencies) {
    const Dependency& key = entry->first;
    if (key.type != Dependency::Type::kObject) continue;
    (store_.Find(key.ref) != nullptr ? view.read : view.missing).push_back(key.ref);
  }
  // The roots are found by an index, and so are not among what was asked for by name.
  view.read.insert(view.read.end(), view.roots.begin(), view.roots.end());
  Unify(view.read);
  Unify(view.missing);
  view.problems = result.problems;
  for (const StatusContribution& each : result.statuses)
    view.statuses.emplace_back(each.object, Status{{each.status}});
  return view;
}

ObjectView Engine::DescribeObject(const api::ObjectRef& ref) const {
  ObjectView view;
  view.ref = ref;
  if (const api::Object* object = store_.Find(ref); object != nullptr) {
    view.exists = true;
    view.uid = object->meta.uid;
    view.resource_version = object->meta.resource_version;
    view.generation = object->meta.generation;
    view.creation_time = object->meta.creation_time;
    for (const auto& [host, part] : kinds_.ClaimedHosts(*object)) {
      if (hosts_.contains(host)) view.hosts.push_back(host);
    }
  }
  if (const Status* status = FindStatus(ref); status != nullptr) view.status = *status;
  if (const auto readers = readers_.find(DependencyView::Object(ref)); readers != readers_.end()) {
    for (const HostNode* host : readers->second) view.hosts.push_back(host->first);
  }
  Unify(view.hosts);
  return view;
}

const Status* Engine::FindStatus(const api::ObjectRef& ref) const {
  const auto found = object_statuses_.find(ref);
  return found == object_statuses_.end() || found->second.told.entries.empty()
             ? nullptr
             : &found->second.told;
}

std::map<api::ObjectRef, Status> Engine::Statuses() const {
  std::map<api::ObjectRef, Status> statuses;
  for (const auto& [ref, object] : object_statuses_) {
    if (!object.told.entries.empty()) statuses.emplace(ref, object.told);
  }
  return statuses;
}

}  // namespace contour::graph
