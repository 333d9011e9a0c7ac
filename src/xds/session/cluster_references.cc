// SPDX-License-Identifier: Apache-2.0

#include "xds/session/cluster_references.h"

#include <utility>

namespace contour::xds {
namespace {

// Adds the assignments that were replaced, except the one that the snapshot's cluster names.
void AddReplaced(const ReferenceCounts::References& replaced, const ResourcePtr& target,
                 ReferenceCounts::References& references) {
  references.unknown = references.unknown || replaced.unknown;
  for (const std::string& name : replaced.names) {
    if (target == nullptr || name != target->assignment) references.names.push_back(name);
  }
}

}  // namespace

// Adds the clusters that the content names and the snapshot's content doesn't.
void ClusterReferences::Collect(ResourceType type, const Resource& content,
                                const Snapshot& snapshot, References& references) const {
  ++examined_;
  if (!content.known) {
    references.unknown = true;
    return;
  }
  const ResourcePtr target = snapshot.Find(type, content.name);
  if (target != nullptr && target->version == content.version) return;
  std::vector<std::string>& names = references.names;
  names.insert(names.end(), content.clusters.begin(), content.clusters.end());
  Parts::Diff(content.parts, target == nullptr ? Parts() : target->parts,
              [&](const PartPtr& was, const PartPtr&) {
                ++examined_;
                if (was != nullptr)
                  names.insert(names.end(), was->clusters.begin(), was->clusters.end());
              });
}

ClusterReferences::Ended ClusterReferences::NoteSent(ResourceType type, const std::string& name,
                                                     std::uint64_t stream, const SentState& sent,
                                                     const Snapshot& snapshot) {
  References references;
  const bool complete = sent.ForEachPossible(
      name, [&](const ResourcePtr& content) { Collect(type, *content, snapshot, references); });
  references.unknown = references.unknown || !complete;
  return clusters_.Set({type, name, stream}, std::move(references));
}

ClusterReferences::Ended ClusterReferences::NoteLingering(ResourceType type,
                                                          const std::string& name,
                                                          const LingeringStreams& lingering,
                                                          const Snapshot& snapshot) {
  References references;
  lingering.ForEach(type, name, [&](const ResourcePtr& content) {
    Collect(type, *content, snapshot, references);
  });
  return clusters_.Set({type, name, 0}, std::move(references));
}

ClusterReferences::Ended ClusterReferences::NoteCluster(const std::string& cluster,
                                                        std::uint64_t stream, const SentState& sent,
                                                        const Snapshot& snapshot,
                                                        const References* replaced) {
  ++examined_;
  const ResourcePtr current = sent.Find(cluster);
  const ResourcePtr target = snapshot.Find(ResourceType::kCluster, cluster);
  References references;
  const auto collect = [&](const ResourcePtr& has) {
    if (has == nullptr || has == target) return;
    references.unknown = references.unknown || !has->known;
    if (!has->assignment.empty() && (target == nullptr || has->assignment != target->assignment))
      references.names.push_back(has->assignment);
  };
  collect(current);
  if (current != nullptr && sent.pending().contains(cluster)) {
    collect(sent.Acked(cluster));
    for (const InFlight& response : sent.in_flight()) collect(response.Find(cluster));
  }
  if (current != nullptr && replaced != nullptr) AddReplaced(*replaced, target, references);
  return assignments_.Set({ResourceType::kCluster, cluster, stream}, std::move(references));
}

}  // namespace contour::xds
