// SPDX-License-Identifier: Apache-2.0
// Holds what one worker counts, for readers that never wait for its work: the lock is held for
// copying numbers only.
//
//   figures.Set(session, {…});        // by the worker, whenever the session did something
//   figures.End(session);             // what it counted stays
//   figures.AddTo(metrics, now);      // any thread
//
// Cost: a change costs only itself; reading costs as much as there are sessions.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "xds/session/views.h"

namespace contour::xds {

class WorkerFigures {
 public:
  using Time = std::chrono::steady_clock::time_point;

  struct OfSession {
    std::string node_id;
    Counters counters;
    std::size_t held = 0;
    std::size_t unknown_secrets = 0;
    std::size_t node_faults = 0;
    std::optional<Time> unanswered_since;  // when the oldest unanswered response was made
  };

  // `session` only distinguishes sessions.
  void Set(const void* session, OfSession figures) ABSL_LOCKS_EXCLUDED(mutex_);
  void End(const void* session) ABSL_LOCKS_EXCLUDED(mutex_);
  void StreamOpened() ABSL_LOCKS_EXCLUDED(mutex_);
  void StreamClosed() ABSL_LOCKS_EXCLUDED(mutex_);
  void Sent(std::size_t bytes) ABSL_LOCKS_EXCLUDED(mutex_);

  void AddTo(Metrics& metrics, Time now) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  mutable Mutex mutex_;
  std::unordered_map<const void*, OfSession> sessions_ ABSL_GUARDED_BY(mutex_);
  Counters ended_ ABSL_GUARDED_BY(mutex_);  // of sessions that ended
  std::uint64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::uint64_t streams_opened_ ABSL_GUARDED_BY(mutex_) = 0;
  std::size_t streams_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace contour::xds
