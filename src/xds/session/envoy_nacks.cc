// SPDX-License-Identifier: Apache-2.0
// Reports about contents that an Envoy rejected, or runs (see envoy_state.h).

#include <algorithm>

#include "xds/session/envoy_state.h"

namespace contour::xds {

bool EnvoyState::LacksCluster(const std::string& cluster) const {
  const ResourceType type = ResourceType::kCluster;
  if (snapshot_->Lacks(type, cluster)) return true;
  const ResourcePtr wanted = snapshot_->Find(type, cluster);
  const auto& streams = Of(type);
  return std::any_of(streams.begin(), streams.end(), [&](const StreamState* stream) {
    const TypeState& state = (*stream)[type];
    if (!state.nacks.HasRejected(cluster) || state.sent.table().Contains(cluster)) return false;
    return wanted == nullptr ||  // another content is yet to be sent
           state.nacks.IsRejected({cluster, std::nullopt}, *ContentVersion(*wanted, std::nullopt));
  });
}

void EnvoyState::ReportCulprits(StreamState& stream, ResourceType type, NackTracker::Trust trust) {
  TypeState& state = stream[type];
  if (state.nacks.rejected().empty() || ignores_reports_) return;
  for (NackTracker::Report& report : state.nacks.TakeReports(trust)) {
    if (!options_.on_culprit) continue;
    Culprit culprit;
    culprit.key = {type, std::move(report.resource), std::move(report.part)};
    culprit.version = report.version;
    const ResourcePtr acked = state.sent.Acked(culprit.key.resource);
    if (acked != nullptr && acked->known) culprit.good = GoodOf(*acked, culprit.key);
    culprit.error_message = std::move(report.error_message);
    culprit.node_id = identity_.node_id;
    culprit.peer = identity_.peer;
    options_.on_culprit(std::move(culprit));
  }
}

void EnvoyState::ContentAcked() {
  if (std::exchange(content_acked_, true)) return;
  for (const TypeInfo& info : kTypes) {
    for (StreamState* stream : Of(info.type)) {
      const TypeState& state = (*stream)[info.type];
      if (!state.nacks.searching() && state.sent.table().empty())
        ReportCulprits(*stream, info.type, NackTracker::Trust::kAll);
    }
  }
}

void EnvoyState::IgnoreReports() {
  if (std::exchange(ignores_reports_, true)) return;
  if (options_.on_ignore_reports) options_.on_ignore_reports();
}

void EnvoyState::DisputeExclusions(ResourceType type) {
  if (!options_.on_dispute) return;
  for (const auto& [name, exclusions] : snapshot_->exclusions()) {
    if (name.first != type) continue;
    for (const StreamState* stream : Of(type)) {
      const ResourcePtr acked = (*stream)[type].sent.Acked(name.second);
      if (acked == nullptr || !acked->known) continue;
      for (const Exclusion& exclusion : exclusions) {
        if (ContentVersion(*acked, exclusion.key.part) == exclusion.version)
          options_.on_dispute(exclusion.key, exclusion.version);
      }
    }
  }
}

void EnvoyState::RetryAt(Time time, const StreamState& stream, ResourceType type,
                         const std::string& name) {
  retries_.emplace(time, Retry{stream.id(), type, name});
}

void EnvoyState::ReportNodeFault(ResourceKey key, const std::string& error_message, bool ends) {
  if (!options_.on_node_fault) return;
  options_.on_node_fault({std::move(key), error_message, identity_.node_id, identity_.peer, ends});
}

// Returns the names of the secrets that occur in the bytes: a filter chain names its secrets there
// only.
std::set<std::string> EnvoyState::SecretsIn(std::string_view bytes) const {
  std::set<std::string> secrets;
  for (const StreamState* stream : Of(ResourceType::kSecret)) {
    (*stream)[ResourceType::kSecret].sent.table().ForEach([&](const ResourcePtr& secret) {
      if (bytes.find(secret->name) != std::string_view::npos) secrets.insert(secret->name);
    });
  }
  return secrets;
}

// Returns what the Envoy runs under the key, and what it needs for it.
GoodContent EnvoyState::GoodOf(const Resource& acked, const ResourceKey& key) const {
  GoodContent good;
  std::vector<std::string> clusters;
  std::string_view bytes;
  if (key.part.has_value()) {
    good.part = acked.parts.Find(*key.part);
    if (good.part == nullptr) return good;
    clusters = good.part->clusters;
    bytes = good.part->bytes;
  } else {
    good.resource = std::make_shared<const Resource>(acked);
    clusters = acked.clusters;
    bytes = acked.bytes;
  }
  std::vector<std::string> assignments;
  if (key.type == ResourceType::kCluster && !acked.assignment.empty())
    assignments.push_back(acked.assignment);
  const auto need = [&](ResourceType type, const std::string& name) -> ResourcePtr {
    for (const StreamState* stream : Of(type)) {
      const ResourcePtr resource = (*stream)[type].sent.Acked(name);
      if (resource == nullptr || !resource->known) continue;
      good.needs.emplace_back(type, resource);
      return resource;
    }
    return nullptr;
  };
  for (const std::string& name : clusters) {
    const ResourcePtr cluster = need(ResourceType::kCluster, name);
    if (cluster != nullptr && !cluster->assignment.empty())
      assignments.push_back(cluster->assignment);
  }
  for (const std::string& name : assignments) need(ResourceType::kEndpoints, name);
  if (key.type == ResourceType::kListener) {
    for (const std::string& name : SecretsIn(bytes)) need(ResourceType::kSecret, name);
  }
  return good;
}

Opinion EnvoyState::OpinionOn(const ResourceKey& key, const Hash128& version) const {
  Opinion opinion;
  for (const StreamState* stream : Of(key.type)) {
    const ResourcePtr acked = (*stream)[key.type].sent.Acked(key.resource);
    if (acked == nullptr || !acked->known) continue;
    if (ContentVersion(*acked, key.part) == version) {
      opinion.runs = true;
    } else if (!opinion.good) {
      opinion.good = GoodOf(*acked, key);
    }
  }
  return opinion;
}

}  // namespace contour::xds
