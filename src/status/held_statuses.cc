// SPDX-License-Identifier: Apache-2.0

#include "status/held_statuses.h"

#include "status/fields.h"

namespace contour::status {

bool HeldStatuses::Tell(const api::ObjectRef& ref, const std::optional<graph::Status>& status) {
  if (!status) return told_.erase(ref) > 0;
  const Hash128 hash = HashPair(Fields(ref.kind, *status), status->entries.front()->vhost);
  const auto [at, added] = told_.try_emplace(ref, hash);
  return added || std::exchange(at->second, hash) != hash;
}

std::vector<ObjectStatus> HeldStatuses::Offer(std::vector<ObjectStatus> statuses, Time now) {
  std::vector<ObjectStatus> told;
  for (ObjectStatus& offered : statuses) {
    auto& [ref, status] = offered;
    const auto held = held_.find(ref);
    if (status && status->IsMissing()) {
      if (held != held_.end()) {
        held->second.status = std::move(*status);
      } else {
        held_.emplace(ref, Held{now + hold_, std::move(*status)});
        due_.emplace(now + hold_, ref);
      }
      continue;
    }
    if (held != held_.end()) {
      due_.erase({held->second.due, ref});
      held_.erase(held);
    }
    if (Tell(ref, status)) told.push_back(std::move(offered));
  }
  return told;
}

std::vector<ObjectStatus> HeldStatuses::TakeDue(Time now) {
  std::vector<ObjectStatus> told;
  while (!due_.empty() && due_.begin()->first <= now) {
    const auto held = held_.find(due_.begin()->second);
    ObjectStatus status(held->first, std::move(held->second.status));
    due_.erase(due_.begin());
    held_.erase(held);
    if (Tell(status.first, status.second)) told.push_back(std::move(status));
  }
  return told;
}

std::optional<HeldStatuses::Time> HeldStatuses::NextDue() const {
  if (due_.empty()) return std::nullopt;
  return due_.begin()->first;
}

StatusTeller::StatusTeller(std::chrono::milliseconds hold, Tell tell, std::function<bool()> unsure)
    : hold_(hold), tell_(std::move(tell)), unsure_(std::move(unsure)), held_(hold) {}

StatusTeller::~StatusTeller() { Stop(); }

void StatusTeller::Start() {
  {
    const MutexLock lock(mutex_);
    started_ = true;
  }
  worker_.Start([this] { return TellNow(); });
}

void StatusTeller::Stop() {
  worker_.Stop();
  {
    const MutexLock lock(mutex_);
    if (!std::exchange(started_, false)) return;
  }
  TellNow();
}

void StatusTeller::Offer(std::vector<ObjectStatus> statuses) {
  if (statuses.empty()) return;
  {
    const MutexLock lock(mutex_);
    for (auto& [ref, status] : statuses) offered_.insert_or_assign(ref, std::move(status));
  }
  worker_.Wake();
}

std::size_t StatusTeller::held() const {
  const MutexLock lock(mutex_);
  return held_.size();
}

std::vector<ObjectStatus> StatusTeller::TakeTellable() {
  const auto now = std::chrono::steady_clock::now();
  std::vector<ObjectStatus> statuses = held_.Offer({offered_.begin(), offered_.end()}, now);
  offered_.clear();
  const auto due = held_.NextDue();
  if (!due || *due > now || unsure_()) return statuses;
  for (ObjectStatus& status : held_.TakeDue(now)) statuses.push_back(std::move(status));
  return statuses;
}

std::optional<WorkerThread::Time> StatusTeller::TellNow() {
  MutexLock lock(mutex_);
  while (true) {
    const std::vector<ObjectStatus> statuses = TakeTellable();
    if (statuses.empty()) break;
    lock.Unlock();
    for (const ObjectStatus& status : statuses) tell_(status);
    lock.Lock();
  }
  const auto due = held_.NextDue();
  const auto now = WorkerThread::Clock::now();
  // If `unsure_` returned true, it is overdue, and `unsure_` is called again after a while.
  return due && *due <= now ? now + hold_ : due;
}

}  // namespace contour::status
