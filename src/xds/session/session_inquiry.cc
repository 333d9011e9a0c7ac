// SPDX-License-Identifier: Apache-2.0

#include "xds/session/session_inquiry.h"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

namespace contour::xds {
namespace {

// After so much time the worker's other sessions have their turn.
constexpr std::chrono::milliseconds kSlice{2};

bool Before(const SessionView& a, const SessionView& b) {
  return std::tie(a.node_id, a.peer) < std::tie(b.node_id, b.peer);
}

std::size_t Lines(const SessionView& view) {
  std::size_t lines = view.entries.size();
  for (const TypeView& type : view.types) lines += type.rejected.size() + type.held.size();
  return lines;
}

// Cuts the view to `most` lines.
void Cut(SessionView& view, std::size_t most) {
  if (Lines(view) <= most) return;
  view.more = true;
  const auto cut = [&](auto& list) {
    list.resize(std::min(list.size(), most));
    most -= list.size();
  };
  for (TypeView& type : view.types) {
    cut(type.rejected);
    cut(type.held);
  }
  cut(view.entries);
}

Fate FateOf(const std::optional<LedgerEntry>& entry, const std::string& part) {
  if (!entry) return Fate::kNotSubscribed;
  const auto& held = entry->held_parts;
  if (std::find(held.begin(), held.end(), part) != held.end() ||
      std::find(held.begin(), held.end(), "") != held.end())
    return Fate::kHeld;
  if (entry->rejected && entry->rejected == entry->sent) return Fate::kRejected;
  if (entry->warming) return Fate::kWarming;
  if (!entry->sent) return Fate::kNotSent;
  return entry->acknowledged == entry->sent ? Fate::kAcknowledged : Fate::kSent;
}

}  // namespace

// ---- SessionInquiry ----

SessionInquiry::Answers SessionInquiry::Await(std::chrono::steady_clock::time_point deadline) {
  const MutexLock lock(mutex_);
  while (outstanding_ > 0 && changed_.WaitUntil(mutex_, deadline)) {
  }
  abandoned_ = true;
  return std::move(answers_);
}

bool SessionInquiry::abandoned() const {
  const MutexLock lock(mutex_);
  return abandoned_;
}

void SessionInquiry::Answer(std::unique_ptr<SessionQuestion> answer) {
  const MutexLock lock(mutex_);
  --outstanding_;
  if (answer != nullptr && !abandoned_) answers_.push_back(std::move(answer));
  changed_.NotifyAll();
}

// ---- InquiryTask ----

InquiryTask::~InquiryTask() {
  if (question_ != nullptr) inquiry_->Answer(nullptr);
}

void InquiryTask::Begin(std::vector<const Session*> sessions) {
  begun_ = true;
  std::erase_if(sessions,
                [&](const Session* each) { return !question_->Concerns(each->identity()); });
  std::sort(sessions.begin(), sessions.end(), [](const Session* a, const Session* b) {
    return std::tie(b->identity().node_id, b->identity().peer) <
           std::tie(a->identity().node_id, a->identity().peer);
  });
  left_ = std::move(sessions);
}

bool InquiryTask::Continue(const std::function<bool(const Session*)>& exists, Time now) {
  if (inquiry_->abandoned()) return true;
  const Time end = std::chrono::steady_clock::now() + kSlice;
  while (!left_.empty()) {
    const Session* session = left_.back();
    left_.pop_back();
    if (exists(session) && !question_->Look(*session, now)) left_.clear();
    if (std::chrono::steady_clock::now() >= end) break;
  }
  if (!left_.empty()) return false;
  inquiry_->Answer(std::move(question_));
  return true;
}

// ---- ViewQuestion ----

bool ViewQuestion::Concerns(const Session::Identity& session) const {
  if (filter_.node && *filter_.node != session.node_id) return false;
  return std::tie(filter_.after_envoy.first, filter_.after_envoy.second) <
         std::tie(session.node_id, session.peer);
}

bool ViewQuestion::Look(const Session& session, Time now) {
  if (views_.size() == filter_.most_envoys) {
    more_ = true;
    return false;
  }
  SessionView& view = views_.emplace_back(session.View(now, filter_, entries_left_));
  entries_left_ -= std::min(entries_left_, Lines(view));
  return true;
}

SessionViews ViewQuestion::Merge(const SessionInquiry::Answers& answers, const ViewFilter& filter,
                                 std::size_t workers) {
  SessionViews merged{.busy_workers = workers - answers.size(), .workers = workers};
  for (const auto& answer : answers) {
    auto& part = static_cast<ViewQuestion&>(*answer);
    merged.more_envoys = merged.more_envoys || part.more_;
    std::move(part.views_.begin(), part.views_.end(), std::back_inserter(merged.envoys));
  }
  std::sort(merged.envoys.begin(), merged.envoys.end(), Before);
  if (merged.envoys.size() > filter.most_envoys) {
    merged.envoys.resize(filter.most_envoys);
    merged.more_envoys = true;
  }
  std::size_t left = filter.most_entries;
  for (SessionView& view : merged.envoys) {
    Cut(view, left);
    left -= std::min(left, Lines(view));
  }
  return merged;
}

// ---- FateQuestion ----

bool FateQuestion::Look(const Session& session, Time) {
  ++envoys_;
  for (std::size_t i = 0; i < resources_->size(); ++i) {
    const ResourceQuestion& resource = (*resources_)[i];
    const std::optional<LedgerEntry> entry = session.Entry(resource.type, resource.name);
    const Fate fate = FateOf(entry, resource.part);
    ResourceFates& fates = fates_[i];
    ++fates.counts[static_cast<std::size_t>(fate)];
    if (fate == Fate::kAcknowledged || fate == Fate::kNotSubscribed ||
        fates.others.size() == ResourceFates::kMostOthers)
      continue;
    fates.others.push_back({session.identity().node_id, session.identity().peer, fate,
                            fate == Fate::kRejected ? entry->error_message : ""});
  }
  return true;
}

FleetFates FateQuestion::Merge(const SessionInquiry::Answers& answers, std::size_t resources,
                               std::size_t workers) {
  FleetFates merged{.busy_workers = workers - answers.size(), .workers = workers};
  merged.resources.resize(resources);
  for (const auto& answer : answers) {
    auto& part = static_cast<FateQuestion&>(*answer);
    merged.envoys += part.envoys_;
    for (std::size_t i = 0; i < resources; ++i) {
      ResourceFates& all = merged.resources[i];
      for (std::size_t fate = 0; fate < kFates; ++fate)
        all.counts[fate] += part.fates_[i].counts[fate];
      std::move(part.fates_[i].others.begin(), part.fates_[i].others.end(),
                std::back_inserter(all.others));
    }
  }
  for (ResourceFates& fates : merged.resources) {
    std::sort(fates.others.begin(), fates.others.end(), [](const auto& a, const auto& b) {
      return std::tie(a.node_id, a.peer) < std::tie(b.node_id, b.peer);
    });
    fates.others.resize(std::min(fates.others.size(), ResourceFates::kMostOthers));
  }
  return merged;
}

}  // namespace contour::xds
