// SPDX-License-Identifier: Apache-2.0
// --snapshot-file: what was served last, kept on disk, is served by a process that starts while the
// API server is away. It counts as the first build; when there is a live one, that takes its place.
//
// Example, given `Fallback::Hooks hooks` and `const xds::SnapshotPtr& snapshot`:
//   Fallback fallback({.path = "/var/lib/contour/snapshot"}, hooks);
//   fallback.Start();            // reads the file; before the core can call Publish
//   fallback.Publish(snapshot);  // each build, on the core thread: to the streams and to the file
//   fallback.Stop();             // writes what is not on disk yet
//
// The file is served if after two seconds the API server can't be reached, if after five it answers
// something else than the objects (a right is missing, a balancer answers in its place), or if
// after half a minute there still is no complete build, whatever the reason. Till then the live
// build is waited for: it is the better one.
//
// A file that can't be used, or isn't there, is replaced by the one before it
// (xds::PreviousSnapshotFile).
//
// Envoys that come back are known to have what the file has, also if it isn't served.
//
// Without a path: Publish passes on, nothing else happens.

#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "admin/metrics.h"
#include "base/mutex.h"
#include "base/worker_thread.h"
#include "xds/snapshot/snapshot_file.h"

namespace contour::serve {

class Fallback {
 public:
  struct Options {
    std::string path;  // empty: none
    std::chrono::milliseconds patience_while_away{2'000};
    // An API server on its way up also refuses, for a second or two.
    std::chrono::milliseconds patience_while_unknown{5'000};
    std::chrono::milliseconds patience{30'000};
  };
  struct Hooks {
    std::function<bool()> away;  // the API server can't be reached, and nothing was listed yet
    // Returns what else keeps the objects from being known; empty: nothing does.
    std::function<std::string()> unknown;
    std::function<void(xds::SnapshotPtr)> publish;  // to the streams
    // Called with what was served last, as soon as it is read and before anything is published; may
    // be empty.
    std::function<void(xds::SnapshotPtr)> remember = {};
    std::function<void()> served;  // what was published is that of the file; on a thread of ours
  };

  Fallback(Options options, Hooks hooks);
  ~Fallback();  // stops
  Fallback(const Fallback&) = delete;
  Fallback& operator=(const Fallback&) = delete;

  // A file that can't be used is passed over, with a warning.
  void Start();
  void Stop();

  // A live build. After it nothing of the file is published any more.
  void Publish(const xds::SnapshotPtr& snapshot);

  // Any thread, as the next two.
  bool serving() const;
  // "serving from the snapshot file …"; empty: it isn't served.
  std::string Remark() const;
  void AddTo(admin::MetricsText& text) const;

 private:
  enum class State { kOff, kWaiting, kServing, kLive };

  // Serves the file if it is time for that. Returns when to look again; nullopt: never.
  std::optional<WorkerThread::Time> Look() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<xds::SavedSnapshot> Read();
  // Returns why the file is to be served now; empty: it isn't yet.
  std::string Reason(std::chrono::steady_clock::duration waited) const;

  const Options options_;
  const Hooks hooks_;
  std::unique_ptr<xds::SnapshotKeeper> keeper_;  // nullptr: no path

  mutable Mutex mutex_;
  State state_ ABSL_GUARDED_BY(mutex_) = State::kOff;
  std::optional<xds::SavedSnapshot> saved_ ABSL_GUARDED_BY(mutex_);
  WorkerThread::Time started_;
  WorkerThread worker_;
};

}  // namespace contour::serve
