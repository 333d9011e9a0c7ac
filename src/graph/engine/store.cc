// SPDX-License-Identifier: Apache-2.0

#include "graph/engine/store.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace contour::graph {

Store::Effect Store::Apply(const api::Change& change) {
  const KindRow& kind = kinds_->RowOf(change.ref.kind);
  api::ObjectPtr now = change.object;
  if (now != nullptr && kind.is_visible != nullptr && !kind.is_visible(*now, *options_))
    now = nullptr;
  const auto found = objects_.find(change.ref);
  if (found == objects_.end() && now == nullptr) return {};

  const bool known = found != objects_.end();
  auto& [ref, entry] = known ? *found : *objects_.try_emplace(change.ref).first;
  const api::ObjectPtr before = std::exchange(entry.object, now);
  if (before != nullptr && now != nullptr && api::SameMeaning(*before, *now)) {
    return {};  // its resourceVersion and status are newer
  }
  entry.checked = nullptr;

  Effect effect;
  effect.object = true;
  if (kind.claims != nullptr) effect.hosts = UpdateClaims(ref, before.get(), now.get());
  if (kind.index != nullptr) effect.index_keys = UpdateIndex(kind, before.get(), now.get());
  if (now == nullptr) objects_.erase(found);
  return effect;
}

std::vector<std::string> Store::UpdateClaims(const api::ObjectRef& ref, const api::Object* before,
                                             const api::Object* now) {
  const KindRow& kind = kinds_->RowOf(ref.kind);
  const HostParts hosts_before = before == nullptr ? HostParts() : kind.claims(*before);
  HostParts hosts_now = now == nullptr ? HostParts() : kind.claims(*now);
  const bool same_root = before != nullptr && now != nullptr && kind.is_same_root != nullptr &&
                         kind.is_same_root(*before, *now);
  // Returns the place where the object's claim is, or would have to be.
  const auto position = [&](ClaimEntries& entries) {
    return std::lower_bound(
        entries.begin(), entries.end(), ref,
        [](const ClaimEntry& entry, const api::ObjectRef& wanted) { return *entry.ref < wanted; });
  };

  std::vector<std::string> changed;
  for (const auto& [host, part] : hosts_before) {
    const auto claim = claims_.find(host);
    const auto still = hosts_now.find(host);
    if (still == hosts_now.end()) {
      claim->second.erase(position(claim->second));
      if (claim->second.empty()) claims_.erase(claim);
      changed.push_back(host);
      continue;
    }
    if (!same_root || !kind.is_same_part(*before, part, *now, still->second, host))
      changed.push_back(host);
    position(claim->second)->part = std::move(still->second);
  }
  for (auto& [host, part] : hosts_now) {
    if (hosts_before.contains(host)) continue;
    ClaimEntries& entries = claims_[host];
    entries.insert(position(entries), {&ref, std::move(part)});
    changed.push_back(host);
  }
  return changed;
}

std::set<IndexKey> Store::UpdateIndex(const KindRow& kind, const api::Object* before,
                                      const api::Object* now) {
  Index& index = indexes_[static_cast<std::size_t>(kind.kind)];
  std::set<IndexKey> keys;
  // Entries of both objects are added before they are removed, so that they never go.
  if (now != nullptr) {
    const std::vector<IndexEntry> entries = kind.index(*now);
    index.Add(entries);
    for (const IndexEntry& entry : entries) keys.insert(entry.key);
  }
  if (before != nullptr) {
    const std::vector<IndexEntry> entries = kind.index(*before);
    index.Remove(entries);
    for (const IndexEntry& entry : entries) keys.insert(entry.key);
  }
  return keys;
}

const api::Object* Store::Find(const api::ObjectRef& ref) const {
  const auto found = objects_.find(ref);
  return found == objects_.end() ? nullptr : found->second.object.get();
}

std::vector<Claim> Store::Claims(std::string_view host) const {
  std::vector<Claim> claims;
  const auto found = claims_.find(host);
  if (found == claims_.end()) return claims;
  claims.reserve(found->second.size());
  for (const ClaimEntry& entry : found->second) claims.push_back({Find(*entry.ref), &entry.part});
  std::sort(claims.begin(), claims.end(), [](const Claim& a, const Claim& b) {
    return std::tie(a.object->meta.creation_time, a.object->meta.ns, a.object->meta.name,
                    a.object->kind) < std::tie(b.object->meta.creation_time, b.object->meta.ns,
                                               b.object->meta.name, b.object->kind);
  });
  return claims;
}

}  // namespace contour::graph
