// SPDX-License-Identifier: Apache-2.0

#include "xds/fleet/quarantine.h"

#include <algorithm>
#include <iterator>

#include "xds/session/node_fault.h"

namespace contour::xds {
namespace {

// Puts the good part in the place of the rejected one, or leaves it out. Returns false if it has to
// stay.
bool ReplacePart(const ResourceKey& key, const GoodContent& good, SnapshotEditor& editor) {
  const auto& [type, resource, part] = key;
  if (good.part != nullptr) {
    editor.SetPart(type, resource, *good.part);
    return true;
  }
  const ResourcePtr left = editor.Find(type, resource);
  if (left == nullptr) return false;
  if (Info(type).needs_parts && left->parts.size() <= 1) return false;
  editor.RemovePart(type, resource, *part);
  return true;
}

bool ReplaceResource(const ResourceKey& key, const GoodContent& good, SnapshotEditor& editor) {
  if (good.resource == nullptr) {
    if (Info(key.type).needs_parts) return false;
    editor.Remove(key.type, key.resource);
  } else if (const ResourcePtr rejected = editor.Find(key.type, key.resource);
             rejected != nullptr && !rejected->parts.empty()) {
    editor.SetHead(key.type, key.resource, good.resource->bytes, good.resource->clusters);
  } else {
    editor.Set(key.type, *good.resource);
  }
  return true;
}

// Gives a cluster that stands in the endpoints of the rejected content's assignment under the name
// of its own, should there be none of this name. While that assignment is empty the last known
// endpoints are better: a Service and its EndpointSlices get the new name of a port one after the
// other.
void KeepEndpoints(const std::string& assignment, const std::string& rejected,
                   SnapshotEditor& editor) {
  if (assignment.empty() || editor.Find(ResourceType::kEndpoints, assignment) != nullptr) return;
  const ResourcePtr followed = editor.Find(ResourceType::kEndpoints, rejected);
  if (followed != nullptr && !followed->without_endpoints)
    editor.Set(ResourceType::kEndpoints, *Renamed(*followed, assignment));
}

bool Replace(const ResourceKey& key, const GoodContent& good, SnapshotEditor& editor) {
  if (!(key.part.has_value() ? ReplacePart(key, good, editor)
                             : ReplaceResource(key, good, editor))) {
    return false;
  }
  for (const auto& [needed_type, needed] : good.needs) {
    if (editor.Find(needed_type, needed->name) == nullptr) editor.Set(needed_type, *needed);
  }
  return true;
}

// The peer without its port: "ipv4:10.0.0.1".
std::string HostOf(const std::string& peer) { return peer.substr(0, peer.rfind(':')); }

}  // namespace

Quarantine::Quarantine(Options options, Inquire inquire, Deliver deliver, Follow follow)
    : options_(std::move(options)),
      inquire_(std::move(inquire)),
      deliver_(std::move(deliver)),
      follow_(std::move(follow)) {}

// Returns the reach that the reports justify.
Reach Quarantine::ReachOf(const Case& found) {
  std::map<std::string_view, std::string_view> first;  // node, by error
  for (const auto& [session, report] : found.reports) {
    const auto [at, added] = first.emplace(report.error, report.node);
    if (!added && at->second != report.node) return Reach::kFleet;
  }
  return Reach::kNode;
}

QuarantineView Quarantine::ViewOf(const Case& found) {
  std::set<std::string_view> nodes;
  for (const auto& [session, report] : found.reports) nodes.insert(report.node);
  return {.key = found.culprit.key,
          .version = found.culprit.version.Hex(),
          .error_message = found.culprit.error_message,
          .node_id = found.culprit.node_id,
          .peer = found.culprit.peer,
          .reach = found.reach.value_or(Reach::kNode),
          .nodes = nodes.size(),
          .replaced = static_cast<bool>(found.culprit.good),
          .ago = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - found.since)};
}

bool Quarantine::IsPublished(const ResourceKey& key, const Hash128& version) const {
  if (published_ == nullptr) return false;
  const ResourcePtr resource = published_->Find(key.type, key.resource);
  return resource != nullptr && ContentVersion(*resource, key.part) == version;
}

void Quarantine::End(Cases::iterator at, News& news) {
  if (at->second.reach.has_value()) {
    news.released.push_back(ViewOf(at->second));
    ++totals_.released;
  }
  std::erase_if(inquiries_, [&](const auto& inquiry) { return inquiry.second == at->first; });
  cases_.erase(at);
}

// Returns the published snapshot without the contents of the cases.
SnapshotPtr Quarantine::Without(const std::vector<const Case*>& cases) const {
  if (cases.empty()) return published_;
  SnapshotEditor editor(published_);
  Exclusions exclusions;
  for (const Case* found : cases) {
    const Culprit& culprit = found->culprit;
    const ResourceKey& key = culprit.key;
    if (key.type == ResourceType::kCluster && culprit.good.resource != nullptr)
      KeepEndpoints(culprit.good.resource->assignment, RejectedAssignment(culprit), editor);
    if (!Replace(key, culprit.good, editor)) continue;
    exclusions[{key.type, key.resource}].push_back({key, culprit.version,
                                                    static_cast<bool>(culprit.good),
                                                    published_->Find(key.type, key.resource)});
  }
  editor.SetExclusions(std::move(exclusions));
  return editor.Commit();
}

DeliveryPtr Quarantine::Filtered() const {
  auto delivery = std::make_shared<Delivery>();
  std::vector<const Case*> fleet;
  std::map<std::string_view, std::vector<const Case*>> nodes;
  for (const auto& [key, found] : cases_) {
    if (found.reach == Reach::kFleet) {
      fleet.push_back(&found);
    } else if (found.reach == Reach::kNode) {
      std::set<std::string_view> seen;
      for (const auto& [session, report] : found.reports) {
        if (report.node_id.empty() || !seen.insert(report.node_id).second) continue;
        if (nodes.size() >= kNodes && !nodes.contains(report.node_id)) continue;
        nodes[report.node_id].push_back(&found);
      }
    }
  }
  delivery->fleet = Without(fleet);
  for (auto& [node, own] : nodes) {
    own.insert(own.end(), fleet.begin(), fleet.end());
    delivery->nodes.emplace(node, Without(own));
  }
  return delivery;
}

// Returns the assignment of a rejected cluster; empty: it has none, or is no cluster.
std::string Quarantine::RejectedAssignment(const Culprit& culprit) const {
  if (culprit.key.type != ResourceType::kCluster) return {};
  const ResourcePtr rejected = published_->Find(ResourceType::kCluster, culprit.key.resource);
  return rejected == nullptr ? std::string() : rejected->assignment;
}

// Returns what is needed by the good contents of the cases that are in force.
StandInNeeds Quarantine::Needs() const {
  StandInNeeds needs;
  const auto add = [&](const ResourcePtr& cluster) {
    if (!cluster->assignment.empty()) needs.assignments.insert(cluster->assignment);
  };
  for (const auto& [key, found] : cases_) {
    if (!found.reach.has_value()) continue;
    const GoodContent& good = found.culprit.good;
    if (key.type == ResourceType::kCluster && good.resource != nullptr &&
        RejectedAssignment(found.culprit).empty())
      add(good.resource);
    for (const auto& [type, needed] : good.needs) {
      if (type == ResourceType::kCluster) add(needed);
      if (type == ResourceType::kSecret) needs.secrets.insert(needed->name);
    }
  }
  return needs;
}

void Quarantine::DeliverFiltered() {
  if (StandInNeeds needs = Needs(); follow_ && needs != needs_) {
    needs_ = std::move(needs);
    follow_(needs_);
  }
  deliver_(Filtered());
}

void Quarantine::Notify(const News& news) const {
  for (const QuarantineView& view : news.quarantined) {
    if (options_.on_quarantine) options_.on_quarantine(view);
  }
  for (const QuarantineView& view : news.released) {
    if (options_.on_release) options_.on_release(view);
  }
}

void Quarantine::Publish(SnapshotPtr snapshot) {
  News news;
  {
    const MutexLock lock(mutex_);
    published_ = std::move(snapshot);
    for (auto at = cases_.begin(); at != cases_.end();) {
      const auto next = std::next(at);
      if (!IsPublished(at->first, at->second.culprit.version) ||
          !IsPublished({at->first.type, at->first.resource, std::nullopt}, at->second.head))
        End(at, news);
      at = next;
    }
    std::erase_if(running_, [&](const Content& content) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return !IsPublished(content.first, content.second);
    });
    DeliverFiltered();
  }
  Notify(news);
}

// Returns the case of the content, which may be a new one; nullptr if there are too many.
Quarantine::Case* Quarantine::Open(const Culprit& culprit) {
  if (const auto at = cases_.find(culprit.key); at != cases_.end()) return &at->second;
  if (cases_.size() >= kContents) return nullptr;
  Case& made = cases_[culprit.key];
  made.culprit = culprit;
  const ResourcePtr resource = published_->Find(culprit.key.type, culprit.key.resource);
  made.head = *ContentVersion(*resource, std::nullopt);
  made.since = Clock::now();
  return &made;
}

void Quarantine::Report(std::uint64_t session, Culprit culprit) {
  const MutexLock lock(mutex_);
  const ResourceKey key = culprit.key;
  const Hash128 version = culprit.version;
  if (!IsPublished(key, version) || running_.contains({key, version})) return;
  Case* const found = Open(culprit);
  if (found == nullptr) return;
  if (!found->culprit.good) found->culprit.good = std::move(culprit.good);
  found->reports.insert_or_assign(
      session, NodeReport{culprit.node_id.empty() ? HostOf(culprit.peer) : culprit.node_id,
                          culprit.node_id, ErrorOf(culprit.error_message, key.resource)});
  const bool grows = !found->reach.has_value() || ReachOf(*found) > *found->reach;
  const bool asked = found->outstanding > 0;
  if (asked) return;
  if (!grows) {  // one more node goes without it
    DeliverFiltered();
    return;
  }
  const std::uint64_t ticket = ++tickets_;
  inquiries_.emplace(ticket, key);
  found->outstanding = inquire_(ticket, key, version);
}

void Quarantine::Answer(std::uint64_t ticket, Opinion opinion) {
  News news;
  {
    const MutexLock lock(mutex_);
    const auto inquiry = inquiries_.find(ticket);
    if (inquiry == inquiries_.end()) return;
    const auto at = cases_.find(inquiry->second);
    Case& found = at->second;
    found.running = found.running || opinion.runs;
    if (!found.culprit.good) found.culprit.good = std::move(opinion.good);
    if (--found.outstanding > 0) return;
    inquiries_.erase(inquiry);
    Settle(at, news);
  }
  Notify(news);
}

// All workers have answered.
void Quarantine::Settle(Cases::iterator at, News& news) {
  Case& found = at->second;
  if (found.running) {
    running_.emplace(at->first, found.culprit.version);
    End(at, news);
  } else if (found.reports.empty()) {
    End(at, news);
  } else {
    if (!found.reach.has_value()) ++totals_.quarantined;
    found.reach = ReachOf(found);
    news.quarantined.push_back(ViewOf(found));
  }
  DeliverFiltered();
}

void Quarantine::MarkRunning(const ResourceKey& key, const Hash128& version) {
  News news;
  {
    const MutexLock lock(mutex_);
    if (!IsPublished(key, version)) return;
    if (!running_.emplace(key, version).second) return;
    const auto at = cases_.find(key);
    if (at == cases_.end() || at->second.culprit.version != version) return;
    End(at, news);
    DeliverFiltered();
  }
  Notify(news);
}

void Quarantine::IgnoreReports(std::uint64_t session) {
  News news;
  {
    const MutexLock lock(mutex_);
    bool changed = false;
    for (auto at = cases_.begin(); at != cases_.end();) {
      const auto next = std::next(at);
      Case& found = at->second;
      if (found.reports.erase(session) > 0) {
        changed = true;
        if (found.reports.empty()) {
          End(at, news);
        } else if (found.reach.has_value()) {
          found.reach = ReachOf(found);
        }
      }
      at = next;
    }
    if (!changed) return;
    DeliverFiltered();
  }
  Notify(news);
}

std::vector<QuarantineView> Quarantine::View() const {
  const MutexLock lock(mutex_);
  std::vector<QuarantineView> views;
  views.reserve(cases_.size());
  for (const auto& [key, found] : cases_) {
    if (found.reach.has_value()) views.push_back(ViewOf(found));
  }
  return views;
}

Quarantine::Totals Quarantine::totals() const {
  const MutexLock lock(mutex_);
  Totals totals = totals_;
  for (const auto& [key, found] : cases_) {
    totals.now += found.reach.has_value() ? 1 : 0;
    totals.fleet += found.reach == Reach::kFleet ? 1 : 0;
  }
  return totals;
}

}  // namespace contour::xds
