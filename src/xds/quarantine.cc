// SPDX-License-Identifier: Apache-2.0

#include "xds/quarantine.h"

#include <algorithm>
#include <iterator>

namespace contour::xds {
namespace {

// Puts the good content in the place of the refused one, or nothing.
void Replace(const Item& item, const GoodContent& good, SnapshotEditor& editor) {
  const auto& [type, resource, part] = item;
  if (part.has_value()) {
    if (good.part != nullptr) {
      editor.SetPart(type, resource, *good.part);
    } else {
      editor.RemovePart(type, resource, *part);
    }
    const ResourcePtr left = editor.Find(type, resource);
    if (Info(type).needs_parts && left != nullptr && left->parts.empty())
      editor.Remove(type, resource);
  } else if (good.resource == nullptr) {
    editor.Remove(type, resource);
  } else if (const ResourcePtr refused = editor.Find(type, resource);
             refused != nullptr && !refused->parts.empty()) {
    editor.SetHead(type, resource, good.resource->bytes, good.resource->clusters);
  } else {
    editor.Set(type, *good.resource);
  }
  for (const auto& [needed_type, needed] : good.needs) {
    if (editor.Find(needed_type, needed->name) == nullptr) editor.Set(needed_type, *needed);
  }
}

}  // namespace

Quarantine::Quarantine(Options options, Inquire inquire, Deliver deliver)
    : options_(std::move(options)), inquire_(std::move(inquire)), deliver_(std::move(deliver)) {}

QuarantineView Quarantine::ViewOf(const Entry& entry) {
  return {.item = entry.culprit.item,
          .version = entry.culprit.version.Hex(),
          .words = entry.culprit.words,
          .node_id = entry.culprit.node_id,
          .peer = entry.culprit.peer,
          .replaced = static_cast<bool>(entry.culprit.good),
          .ago = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - entry.since)};
}

bool Quarantine::IsPublished(const Item& item, const Hash128& version) const {
  if (published_ == nullptr) return false;
  const ResourcePtr resource = published_->Find(item.type, item.resource);
  return resource != nullptr && ContentVersion(*resource, item.part) == version;
}

void Quarantine::Release(std::map<Item, Entry>::iterator at, News& news) {
  news.released.push_back(ViewOf(at->second));
  entries_.erase(at);
  ++totals_.released;
}

SnapshotPtr Quarantine::Filtered() const {
  if (entries_.empty() || published_ == nullptr) return published_;
  SnapshotEditor editor(published_);
  Exclusions exclusions;
  for (const auto& [item, entry] : entries_) {
    Replace(item, entry.culprit.good, editor);
    exclusions.push_back({item, entry.culprit.version, static_cast<bool>(entry.culprit.good)});
  }
  editor.SetExclusions(std::move(exclusions));
  return editor.Commit();
}

void Quarantine::Tell(const News& news) const {
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
    for (auto at = entries_.begin(); at != entries_.end();) {
      const auto next = std::next(at);
      if (!IsPublished(at->first, at->second.culprit.version) ||
          !IsPublished({at->first.type, at->first.resource, std::nullopt}, *at->second.head))
        Release(at, news);
      at = next;
    }
    std::erase_if(disputed_, [&](const Content& content) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return !IsPublished(content.first, content.second);
    });
    deliver_(Filtered());
  }
  Tell(news);
}

void Quarantine::Accuse(std::uint64_t session, Culprit culprit) {
  const MutexLock lock(mutex_);
  const Item item = culprit.item;
  const Hash128 version = culprit.version;
  if (!IsPublished(item, version) || disputed_.contains({item, version})) return;
  if (const auto at = entries_.find(item); at != entries_.end()) {
    at->second.accusers.insert(session);
    return;
  }
  for (auto& [ticket, pending] : pending_) {
    if (pending.entry.culprit.item != item || pending.entry.culprit.version != version) continue;
    pending.entry.accusers.insert(session);
    if (!pending.entry.culprit.good) pending.entry.culprit.good = std::move(culprit.good);
    return;
  }
  if (entries_.size() + pending_.size() >= kContents) return;
  const std::uint64_t ticket = ++tickets_;
  Pending& pending = pending_[ticket];
  const ResourcePtr resource = published_->Find(item.type, item.resource);
  pending.entry = {
      std::move(culprit), {session}, ContentVersion(*resource, std::nullopt), Clock::now()};
  pending.outstanding = inquire_(ticket, item, version);
}

void Quarantine::Answer(std::uint64_t ticket, Opinion opinion) {
  News news;
  {
    const MutexLock lock(mutex_);
    const auto at = pending_.find(ticket);
    if (at == pending_.end()) return;
    Pending& pending = at->second;
    pending.disputed = pending.disputed || opinion.runs;
    if (!pending.entry.culprit.good) pending.entry.culprit.good = std::move(opinion.good);
    if (--pending.outstanding == 0) Settle(ticket, news);
  }
  Tell(news);
}

void Quarantine::Settle(std::uint64_t ticket, News& news) {
  auto pending = pending_.extract(ticket);
  Entry& entry = pending.mapped().entry;
  const Item item = entry.culprit.item;
  const Hash128 version = entry.culprit.version;
  if (!IsPublished(item, version) || entry.accusers.empty()) return;
  if (pending.mapped().disputed) {
    disputed_.emplace(item, version);
    return;
  }
  news.quarantined.push_back(ViewOf(entry));
  entries_.insert_or_assign(item, std::move(entry));
  ++totals_.quarantined;
  deliver_(Filtered());
}

void Quarantine::Dispute(const Item& item, const Hash128& version) {
  News news;
  {
    const MutexLock lock(mutex_);
    if (!IsPublished(item, version)) return;
    disputed_.emplace(item, version);
    for (auto& [ticket, pending] : pending_) {
      if (pending.entry.culprit.item == item && pending.entry.culprit.version == version)
        pending.disputed = true;
    }
    const auto at = entries_.find(item);
    if (at == entries_.end() || at->second.culprit.version != version) return;
    Release(at, news);
    deliver_(Filtered());
  }
  Tell(news);
}

void Quarantine::Distrust(std::uint64_t session) {
  News news;
  {
    const MutexLock lock(mutex_);
    for (auto& [ticket, pending] : pending_) pending.entry.accusers.erase(session);
    for (auto at = entries_.begin(); at != entries_.end();) {
      const auto next = std::next(at);
      if (at->second.accusers.erase(session) > 0 && at->second.accusers.empty()) Release(at, news);
      at = next;
    }
    if (news.released.empty()) return;
    deliver_(Filtered());
  }
  Tell(news);
}

std::vector<QuarantineView> Quarantine::View() const {
  const MutexLock lock(mutex_);
  std::vector<QuarantineView> views;
  views.reserve(entries_.size());
  for (const auto& [item, entry] : entries_) views.push_back(ViewOf(entry));
  return views;
}

Quarantine::Totals Quarantine::totals() const {
  const MutexLock lock(mutex_);
  Totals totals = totals_;
  totals.now = entries_.size();
  return totals;
}

}  // namespace contour::xds
