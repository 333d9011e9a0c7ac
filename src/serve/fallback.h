// SPDX-License-Identifier: Apache-2.0
// Serves the snapshot file (--snapshot-file) if the process starts while the API server is away:
// the file has what was served last. It counts as the first build. When there is a build from
// objects, that takes its place.
//
// Example, given `Fallback::Hooks hooks` and `const xds::SnapshotPtr& snapshot`:
//   Fallback fallback({.path = "/var/lib/contour/snapshot"}, hooks);
//   fallback.Start();            // reads the file; before the core can call Publish
//   fallback.Publish(snapshot);  // each build, on the core thread: to the streams and to the file
//   fallback.Stop();             // writes what is not on disk yet
//
// The file is served if after two seconds the API server can't be reached, if after five it answers
// something else than the objects (a right is missing, a balancer answers in its place), or if
// after half a minute there still is no complete build, whatever the reason. Until then it waits
// for the build from objects, which is the better one.
//
// If the file can't be used, or isn't there, the one before it is used
// (xds::PreviousSnapshotFile).
//
// Envoys that come back are known to have the resources of the file, also if it isn't served.
//
// Without a path Publish passes the snapshot on, and nothing else happens.

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
    // A starting API server also refuses requests, for a second or two.
    std::chrono::milliseconds patience_while_unknown{5'000};
    std::chrono::milliseconds patience{30'000};
  };
  struct Hooks {
    std::function<bool()>
        away;  // true: the API server can't be reached, and nothing was listed yet
    // Returns another reason why the objects aren't known; empty: they are.
    std::function<std::string()> unknown;
    std::function<void(xds::SnapshotPtr)> publish;  // sends it to the Envoys
    // Called with what was served last, as soon as it is read and before anything is published; may
    // be empty.
    std::function<void(xds::SnapshotPtr)> remember = {};
    std::function<void()> served;  // the file was published; called on the Fallback's thread
  };

  Fallback(Options options, Hooks hooks);
  ~Fallback();  // stops
  Fallback(const Fallback&) = delete;
  Fallback& operator=(const Fallback&) = delete;

  // Reads the file. One that can't be used is ignored, with a warning.
  void Start();
  void Stop();

  // Publishes a build from objects. The file is not published afterwards.
  void Publish(const xds::SnapshotPtr& snapshot);

  // True while the file is served. This and the next two may be called on any thread.
  bool serving() const;
  // Returns "serving from the snapshot file …"; empty: it isn't served.
  std::string Remark() const;
  void AddTo(admin::MetricsText& text) const;

 private:
  enum class State { kOff, kWaiting, kServing, kLive };

  // Serves the file if it is time for that. Returns when to look again; nullopt: never.
  std::optional<WorkerThread::Time> Look() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<xds::SavedSnapshot> Read();
  // Returns the reason to serve the file now; empty: there is none yet.
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
