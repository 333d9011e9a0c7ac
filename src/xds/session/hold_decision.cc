// SPDX-License-Identifier: Apache-2.0

#include "xds/session/hold_decision.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>

#include "xds/session/envoy_state.h"

namespace contour::xds {

// Returns true if the part waits for some of the clusters that it needs. `has`: those that it
// needed as it was sent; nullptr: it wasn't sent.
bool HoldDecision::Waits(const std::string& part, const Clusters& needs, const Clusters* has) {
  bool lacking = false;  // one of them isn't coming
  bool coming = false;   // one of them is
  StringSet waiting_for;
  for (const std::string& cluster : needs) {
    ++envoy_.figures().examined;
    if (has != nullptr && std::binary_search(has->begin(), has->end(), cluster)) continue;
    if (envoy_.IsWarm(cluster)) continue;
    (envoy_.LacksCluster(cluster) ? lacking : coming) = true;
    waiting_for.insert(cluster);
  }
  if (waiting_for.empty()) return false;
  // Nothing is there that could be lost, and nothing comes by waiting.
  if (!coming && has == nullptr) {
    ++released_;
    return false;
  }
  Time since = now_;
  if (before_ != nullptr) {
    if (const auto at = before_->since.find(part); at != before_->since.end()) since = at->second;
  }
  // A cluster that was rejected won't come by waiting: what is there stays.
  const bool stays = lacking && has != nullptr;
  if (!stays && now_ >= since + envoy_.options().warm_timeout) {
    ++released_;
    return false;
  }
  if (!stays) held_.earliest = std::min(held_.earliest.value_or(since), since);
  held_.waiting_for.insert(waiting_for.begin(), waiting_for.end());
  held_.since.emplace(part, since);
  return true;
}

void HoldDecision::Compare(const ResourcePtr& base, const Resource& wanted) {
  if (base != nullptr && !base->known) {
    std::set<std::string> needs(wanted.clusters.begin(), wanted.clusters.end());
    wanted.parts.ForEach(
        [&](const PartPtr& part) { needs.insert(part->clusters.begin(), part->clusters.end()); });
    all_waits_ = Waits("", {needs.begin(), needs.end()}, nullptr);
    return;
  }
  all_waits_ = Waits("", wanted.clusters, base == nullptr ? nullptr : &base->clusters);
  Parts::Diff(base == nullptr ? Parts() : base->parts, wanted.parts,
              [&](const PartPtr& was, const PartPtr& is) {
                ++envoy_.figures().examined;
                if (is != nullptr &&
                    Waits(is->name, is->clusters, was == nullptr ? nullptr : &was->clusters)) {
                  waiting_.emplace_back(was, is);
                }
              });
}

ResourcePtr HoldDecision::View(const ResourcePtr& wanted) const {
  if (waiting_.empty()) return wanted;
  auto view = std::make_shared<Resource>(*wanted);
  const EditToken token = NewEditToken();
  for (const auto& [was, is] : waiting_) {
    if (was != nullptr) {
      view->parts.Set(was, token);
    } else {
      view->parts.Remove(is->name, token);
    }
  }
  view->version -= wanted->parts.version();
  view->version += view->parts.version();
  return view;
}

}  // namespace contour::xds
