// SPDX-License-Identifier: Apache-2.0
// Writes the wanted statuses to the API server: it runs a StatusPlan, which decides what is written
// when, on a thread.
//
// Example, given `StatusWriter::Patch patch`, `StatusWriter::Read read`,
// `const std::vector<api::Change>& changes` and `const api::ObjectRef& ref`:
//   StatusWriter writer(patch, read, {});
//   writer.Start();
//   writer.Observe(changes);                         // each batch of a source: what the server has
//   writer.Want(ref, R"({"currentStatus":"valid"})");  // each change: what it should have
//   writer.SetActive(true);                          // each time the lock is got or lost
//   writer.Drain(5s);
//   writer.Stop();
//
// SetActive(false) stops giving out writes at once. Writes that were given to `patch` before must
// be held back there (Request::may_start). SetActive(true) writes only the statuses that differ.
//
// It has one thread. All methods may be called on any thread. `patch` is called on the writer's
// thread, and may call `done` on any.

#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/source.h"
#include "base/mutex.h"
#include "base/worker_thread.h"
#include "status/status_plan.h"

namespace contour::status {

class StatusWriter {
 public:
  using Done = std::function<void(const Outcome&)>;
  using Patch = std::function<void(const StatusPlan::Write& write, Done done)>;
  // Calls `done` with the JSON of the object on the server, "" if it can't be read.
  using Read = std::function<void(const api::ObjectRef& ref,
                                  std::function<void(std::string_view object)> done)>;

  StatusWriter(Patch patch, Read read, StatusPlan::Options options);
  ~StatusWriter();  // stops; no `done` may be called afterwards
  StatusWriter(const StatusWriter&) = delete;
  StatusWriter& operator=(const StatusWriter&) = delete;

  void Start();
  void Stop();  // no write begins after it

  void Observe(const std::vector<api::Change>& changes);
  void Want(const api::ObjectRef& ref, std::optional<std::string> fields);
  void SetActive(bool active);

  // Waits until every status is right, but not longer than `deadline`. Returns true if they are, or
  // if this replica may not write them.
  bool Drain(std::chrono::milliseconds deadline);

  StatusPlan::Statistics statistics() const;
  std::vector<StatusPlan::Fight> Fights(std::size_t most) const;

 private:
  // Gives out what is due. Returns when more will be.
  std::optional<WorkerThread::Time> GiveOut() ABSL_LOCKS_EXCLUDED(mutex_);
  // True if this replica has nothing left to write.
  bool IsSettled() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Finished(const StatusPlan::Write& write, const Outcome& outcome);

  void Inquired(const api::ObjectRef& ref, std::string_view object);

  const Patch patch_;
  const Read read_;
  mutable Mutex mutex_;
  Condition settled_;  // Drain waits for it
  StatusPlan plan_ ABSL_GUARDED_BY(mutex_);
  WorkerThread worker_;
};

}  // namespace contour::status
