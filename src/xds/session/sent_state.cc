// SPDX-License-Identifier: Apache-2.0

#include "xds/session/sent_state.h"

#include <algorithm>

namespace contour::xds {

ResourcePtr InFlight::Find(const std::string& name) const {
  const auto change = std::lower_bound(
      changes.begin(), changes.end(), name,
      [](const Change& one, const std::string& wanted) { return *one.name < wanted; });
  return change != changes.end() && *change->name == name ? change->content : nullptr;
}

ResourcePtr SentState::Acked(const std::string& name) const {
  if (first_.has_value()) return nullptr;
  const auto at = pending_.find(name);
  return at == pending_.end() ? table_.Find(name) : at->second.acked;
}

bool SentState::IsNacked(const std::string& name) const {
  const auto at = pending_.find(name);
  return at != pending_.end() && at->second.nacked != nullptr &&
         SameVersion(at->second.nacked, table_.Find(name));
}

Table SentState::AckedResources() const {
  Table acked = first_.has_value() ? Table() : table_;
  const EditToken token = NewEditToken();
  for (const auto& [name, pending] : pending_) {
    if (pending.acked != nullptr) {
      acked.Set(pending.acked, token);
    } else {
      acked.Remove(*name, token);
    }
  }
  return acked;
}

// ---- Sending ----

void SentState::Resume(ResourcePtr resource, EditToken token) {
  holds_unknown_ = holds_unknown_ || !resource->known;
  table_.Set(std::move(resource), token);
}

void SentState::SendFirst(FirstContent first) {
  table_ = *first.table;
  first_ = std::move(first);
  ++examined_;
}

void SentState::SpellOut() {
  if (!first_.has_value()) return;
  const FirstContent first = *std::exchange(first_, std::nullopt);
  InFlight& response = in_flight_.front();  // there can't be another
  response.changes.reserve(first.list->size());
  for (const ResourcePtr& resource : *first.list) {
    ++examined_;
    PendingResource& pending = pending_[NameOf(resource)];
    pending.since = first.sequence;
    pending.in_flight = 1;
    response.changes.push_back({NameOf(resource), resource});
  }
}

ResourcePtr SentState::Send(const Change& change, std::uint64_t sequence, EditToken token) {
  SpellOut();
  ResourcePtr before = table_.Find(*change.name);
  const auto [at, added] = pending_.try_emplace(change.name);
  if (added) {
    at->second.acked = before;
    at->second.since = sequence;
  }
  ++at->second.in_flight;
  at->second.nacked = nullptr;
  if (change.content != nullptr) {
    table_.Set(change.content, token);
  } else {
    table_.Remove(*change.name, token);
  }
  return before;
}

void SentState::ShareTable(const Table& snapshot, SharedTables& shared) {
  if (table_.size() == snapshot.size() && table_.version() == snapshot.version()) {
    table_ = snapshot;
    holds_unknown_ = false;
  } else if (!holds_unknown_) {
    shared.Share(table_);
  }
}

const InFlight& SentState::AddResponse(InFlight response) {
  last_nonce_ = response.nonce;
  version_sent_ = response.version;
  return in_flight_.emplace_back(std::move(response));
}

// ---- Answers ----

InFlight SentState::TakeOldest() {
  InFlight response = std::move(in_flight_.front());
  in_flight_.pop_front();
  return response;
}

std::optional<FirstContent> SentState::TakeFirst(std::uint64_t sequence) {
  if (!first_.has_value() || first_->sequence != sequence) return std::nullopt;
  return std::exchange(first_, std::nullopt);
}

bool SentState::Ack(const Change& change, std::uint64_t sequence) {
  const auto at = pending_.find(*change.name);
  if (at == pending_.end() || at->second.since > sequence) return false;
  PendingResource& pending = at->second;
  pending.acked = change.content;
  pending.nacked = nullptr;
  pending.possibly_applied.clear();
  pending.overflow = false;
  --pending.in_flight;
  if (pending.in_flight == 0 && SameVersion(table_.Find(*change.name), change.content))
    pending_.erase(at);
  return true;
}

void SentState::Nack(const Change& change, std::uint64_t sequence) {
  const auto at = pending_.find(*change.name);
  if (at == pending_.end() || at->second.since > sequence) return;
  --at->second.in_flight;
  at->second.nacked = change.content;
}

void SentState::Skip(const Change& change, std::uint64_t sequence) {
  const auto at = pending_.find(*change.name);
  if (at == pending_.end() || at->second.since > sequence) return;
  --at->second.in_flight;
}

void SentState::MarkPossiblyApplied(const Change& change) {
  PendingResource& pending = pending_[change.name];
  if (pending.possibly_applied.size() < kMostPossiblyApplied) {
    pending.possibly_applied.push_back(change.content);
  } else {
    pending.overflow = true;
  }
}

void SentState::MarkNacked(const std::string& name, const ResourcePtr& content) {
  const auto at = pending_.find(name);
  if (at != pending_.end() && SameVersion(content, table_.Find(name))) at->second.nacked = content;
}

void SentState::MarkAcked(const std::string& name) {
  PendingResource& pending = pending_.find(name)->second;
  pending.acked = table_.Find(name);
  pending.nacked = nullptr;
}

void SentState::SetAcked(const InFlight& response) {
  unrecognised_ = false;
  acked_table_ = response.table;
  version_acked_ = response.version;
}

std::vector<NamePtr> SentState::AckEverything() {
  std::vector<NamePtr> names;
  for (const auto& [name, pending] : pending_) {
    const ResourcePtr sent = table_.Find(*name);
    if (sent == nullptr || sent->known) names.push_back(name);
  }
  for (const NamePtr& name : names) pending_.erase(name);
  FreeIfEmpty(pending_);
  return names;
}

void SentState::Forget(const std::string& name) {
  SpellOut();
  table_.Remove(name);
  EraseName(pending_, name);
}

}  // namespace contour::xds
