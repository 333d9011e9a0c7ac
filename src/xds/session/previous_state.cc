// SPDX-License-Identifier: Apache-2.0

#include "xds/session/previous_state.h"

#include <algorithm>

namespace contour::xds {

std::shared_ptr<const Memory> MemoryOf(const Snapshot& past) {
  auto memory = std::make_shared<Memory>();
  memory->own = false;
  for (const TypeInfo& info : kTypes) {
    const Table& table = past.table(info.type);
    std::vector<Memory::State>& states = memory->states[Index(info.type)];
    if (table.empty()) continue;
    states.push_back({table.version(), table});
    // Envoy asks for the route configurations of its listeners only, or for each on its own stream.
    if (info.type != ResourceType::kRoutes || table.size() == 1) continue;
    table.ForEach([&](const ResourcePtr& routes) {
      Table alone;
      alone.Set(routes);
      states.push_back({alone.version(), alone});
    });
  }
  return memory;
}

// ---- PreviousState ----

bool PreviousState::had_clusters() const {
  return memory_ != nullptr && memory_->own &&
         !memory_->states[Index(ResourceType::kCluster)].empty();
}

ResourcePtr PreviousState::Recall(ResourceType type, const std::string& name,
                                  const Hash128& version) const {
  if (memory_ == nullptr) return nullptr;
  for (const Memory::State& state : memory_->states[Index(type)]) {
    ResourcePtr found = state.table.Find(name);
    if (found != nullptr && found->known && found->version == version) return found;
  }
  return nullptr;
}

const Table* PreviousState::Recall(ResourceType type, std::string_view version) const {
  if (memory_ == nullptr) return nullptr;
  for (const Memory::State& state : memory_->states[Index(type)]) {
    if (state.version.Hex() == version) return &state.table;
  }
  return nullptr;
}

void PreviousState::Remember(ResourceType type, const Table& table, const SubscribedNames& names,
                             bool acked) {
  std::vector<Memory::State>& states = leaving_.states[Index(type)];
  for (Memory::State& other : states) {
    if (other.version != table.version()) continue;
    other.acked = other.acked || acked;
    return;
  }
  if (states.size() >= kMostStates) return;
  Table subscribed = table;
  if (!names.wildcard()) {
    const EditToken token = NewEditToken();
    table.ForEach([&](const ResourcePtr& resource) {
      if (!names.Contains(resource->name)) subscribed.Remove(resource->name, token);
    });
  }
  states.push_back({table.version(), std::move(subscribed), acked});
}

std::shared_ptr<const Memory> PreviousState::Take() {
  for (const TypeInfo& info : kTypes) {
    std::vector<Memory::State>& states = leaving_.states[Index(info.type)];
    if (states.empty() && memory_ != nullptr) states = memory_->states[Index(info.type)];
  }
  return std::make_shared<const Memory>(std::exchange(leaving_, {}));
}

// ---- LingeringStreams ----

void LingeringStreams::Add(ResourceType type, const ResourcePtr& resource, Time now) {
  const std::uint64_t number = ++numbers_;
  resources_.emplace(number, Lingering{now + kTime, type, resource});
  by_name_.emplace(Name(type, resource->name), number);
}

LingeringStreams::Name LingeringStreams::Remove(std::map<std::uint64_t, Lingering>::iterator at) {
  Name name(at->second.type, at->second.resource->name);
  const auto [from, to] = by_name_.equal_range(name);
  by_name_.erase(
      std::find_if(from, to, [&](const auto& entry) { return entry.second == at->first; }));
  resources_.erase(at);
  return name;
}

std::optional<LingeringStreams::Name> LingeringStreams::TakeExpired(Time now) {
  if (resources_.empty() || resources_.begin()->second.expires > now) return std::nullopt;
  return Remove(resources_.begin());
}

std::vector<LingeringStreams::Name> LingeringStreams::TakeSubscribed(ResourceType type,
                                                                     const SubscribedNames& names) {
  std::vector<std::uint64_t> numbers;
  if (names.wildcard()) {
    for (auto at = by_name_.lower_bound({type, ""});
         at != by_name_.end() && at->first.first == type; ++at)
      numbers.push_back(at->second);
  } else {
    names.names().ForEach([&](const NamePtr& name) {
      const auto [from, to] = by_name_.equal_range({type, *name});
      for (auto at = from; at != to; ++at) numbers.push_back(at->second);
    });
  }
  std::vector<Name> removed;
  removed.reserve(numbers.size());
  for (const std::uint64_t number : numbers) removed.push_back(Remove(resources_.find(number)));
  return removed;
}

std::optional<Time> LingeringStreams::NextDeadline() const {
  if (resources_.empty()) return std::nullopt;
  return resources_.begin()->second.expires;
}

}  // namespace contour::xds
