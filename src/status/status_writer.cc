// SPDX-License-Identifier: Apache-2.0

#include "status/status_writer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>
#include <utility>

#include "base/log.h"
#include "base/status.h"

namespace contour::status {
namespace {

// Replicas and objects that failed together must not come back together.
double Jitter() {
  thread_local std::minstd_rand random(std::random_device{}());
  return 1.0 + std::uniform_real_distribution<double>(0.0, 0.2)(random);
}

}  // namespace

std::string StatusJson(const graph::Status& status) {
  const nlohmann::json json = {{"currentStatus", status.current_status},
                               {"description", status.description}};
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

StatusWriter::StatusWriter(Patch patch, Options options)
    : patch_(std::move(patch)), options_(options) {}

StatusWriter::~StatusWriter() { Stop(); }

void StatusWriter::Start() {
  thread_ = std::thread([this] { Run(); });
}

void StatusWriter::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool StatusWriter::Differs(const Entry& entry) {
  return entry.wanted && !entry.resource_version.empty() &&
         (entry.known.current_status != entry.wanted->current_status ||
          entry.known.description != entry.wanted->description);
}

void StatusWriter::Judge(const api::ObjectRef& ref, Entry& entry) {
  if (!entry.wanted && entry.resource_version.empty() && !entry.under_way) {
    entries_.erase(ref);
    return;
  }
  if (entry.under_way || !Differs(entry)) return;
  queue_.emplace(entry.due, ref);
  wake_.notify_all();
}

void StatusWriter::Observe(const std::vector<api::Change>& changes) {
  const std::lock_guard lock(mutex_);
  for (const api::Change& change : changes) {
    if (change.ref.kind != api::Kind::kIngressRoute) continue;
    Entry& entry = entries_[change.ref];
    if (const auto* object = api::As<api::IngressRoute>(change.object.get())) {
      entry.resource_version = object->meta.resource_version;
      entry.known = object->status;
    } else {
      entry.resource_version.clear();
      entry.known = {};
    }
    Judge(change.ref, entry);
  }
}

void StatusWriter::Want(const api::ObjectRef& ref, const std::optional<graph::Status>& status) {
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[ref];
  entry.wanted = status;
  Judge(ref, entry);
}

void StatusWriter::Run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (queue_.empty() || under_way_ >= options_.parallel) {
      wake_.wait(lock);
      continue;
    }
    if (const Clock::time_point due = queue_.begin()->first; due > Clock::now()) {
      wake_.wait_until(lock, due);
      continue;
    }
    const api::ObjectRef ref = std::move(queue_.begin()->second);
    queue_.erase(queue_.begin());
    const auto found = entries_.find(ref);
    // A stale row: it was written, or is to wait, or the object is gone.
    if (found == entries_.end() || found->second.under_way || !Differs(found->second) ||
        found->second.due > Clock::now()) {
      continue;
    }
    Entry& entry = found->second;
    entry.under_way = true;
    ++under_way_;
    const graph::Status status = *entry.wanted;
    const std::string version = entry.resource_version;
    lock.unlock();
    patch_(ref, version, status, [this, ref, status, version](const absl::Status& result) {
      Finished(ref, status, version, result);
    });
    lock.lock();
  }
}

void StatusWriter::Finished(const api::ObjectRef& ref, const graph::Status& written,
                            const std::string& version, const absl::Status& status) {
  const std::lock_guard lock(mutex_);
  --under_way_;
  wake_.notify_all();
  const auto found = entries_.find(ref);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  entry.under_way = false;
  const bool observed_newer = entry.resource_version != version;
  if (status.ok()) {
    ++statistics_.written;
    entry.failures = 0;
    entry.due = {};
    // The server has it; the event that says so is on its way, unless it was faster than the
    // answer.
    if (!observed_newer) entry.known = {written.current_status, written.description};
  } else if (absl::IsNotFound(status)) {
    if (!observed_newer) entry.resource_version.clear();
  } else {
    const bool conflict = absl::IsAborted(status);
    ++(conflict ? statistics_.conflicts : statistics_.failures);
    // After a conflict the newer object decides; the delay is for the case that it never comes.
    if (!conflict) {
      log::Warning("status", "failed to set status",
                   {{"kind", api::KindName(ref.kind)},
                    {"namespace", ref.ns},
                    {"name", ref.name},
                    {"status", written.current_status},
                    {"error", Message(status)}});
    }
    const int doublings = std::min(entry.failures++, 10);
    const auto delay = std::min(options_.first_delay * (1 << doublings), options_.most_delay);
    entry.due = conflict && observed_newer
                    ? Clock::time_point()
                    : Clock::now() + std::chrono::duration_cast<Clock::duration>(delay * Jitter());
  }
  Judge(ref, entry);
}

StatusWriter::Statistics StatusWriter::statistics() const {
  const std::lock_guard lock(mutex_);
  Statistics statistics = statistics_;
  for (const auto& [ref, entry] : entries_) {
    if (entry.under_way || Differs(entry)) ++statistics.waiting;
  }
  return statistics;
}

}  // namespace contour::status
