// SPDX-License-Identifier: Apache-2.0

#include "xds/fleet/worker_figures.h"

#include <utility>

namespace contour::xds {

void WorkerFigures::Set(const void* session, OfSession figures) {
  const MutexLock lock(mutex_);
  sessions_.insert_or_assign(session, std::move(figures));
}

void WorkerFigures::End(const void* session) {
  const MutexLock lock(mutex_);
  const auto at = sessions_.find(session);
  if (at == sessions_.end()) return;
  ended_ += at->second.counters;
  sessions_.erase(at);
}

void WorkerFigures::StreamOpened() {
  const MutexLock lock(mutex_);
  ++streams_opened_;
  ++streams_;
}

void WorkerFigures::StreamClosed() {
  const MutexLock lock(mutex_);
  --streams_;
}

void WorkerFigures::Sent(std::size_t bytes) {
  const MutexLock lock(mutex_);
  bytes_ += bytes;
}

void WorkerFigures::AddTo(Metrics& metrics, Time now) const {
  const MutexLock lock(mutex_);
  metrics.counters += ended_;
  for (const auto& [session, figures] : sessions_) {
    metrics.counters += figures.counters;
    metrics.held += figures.held;
    metrics.unknown_secrets += figures.unknown_secrets;
    metrics.node_faults += figures.node_faults;
    Lag& lag = metrics.lags.emplace_back(Lag{.node_id = figures.node_id});
    if (figures.unanswered_since)
      lag.time =
          std::chrono::duration_cast<std::chrono::milliseconds>(now - *figures.unanswered_since);
  }
  metrics.bytes += bytes_;
  metrics.streams_opened += streams_opened_;
  metrics.streams += streams_;
  metrics.sessions += sessions_.size();
}

}  // namespace contour::xds
