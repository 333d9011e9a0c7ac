// SPDX-License-Identifier: Apache-2.0
// Brings the statuses on the API server to what they should be: StatusPlan (what is written when)
// on a thread.
//
//   StatusWriter writer(patch, read, {});
//   writer.Start();
//   writer.Observe(changes);              // each batch of a source: what the server has
//   writer.Want(ref, Fields(status));     // each change of a status: what it should have
//   writer.SetActive(leader.Holds());     // each time the lock is got or lost
//   writer.Drain(std::chrono::seconds(5));
//   writer.Stop();
//
// SetActive(false) stops giving out writes at once; those that were given to `patch` before it must
// be held back there (Request::may_start). SetActive(true) writes what differs, and only that.
//
// Threads: one of its own. All methods from any; `patch` is called on the writer's thread and its
// `done` may come on any.

#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "api/source.h"
#include "base/mutex.h"
#include "status/status_plan.h"

namespace contour::status {

class StatusWriter {
 public:
  using Done = std::function<void(const Outcome&)>;
  using Patch = std::function<void(const StatusPlan::Write& write, Done done)>;
  // Gives the JSON of an object as the server has it, "" if it can't be read.
  using Read = std::function<void(const api::ObjectRef& ref,
                                  std::function<void(std::string_view object)> done)>;

  StatusWriter(Patch patch, Read read, StatusPlan::Options options);
  ~StatusWriter();  // stops; no `done` may come afterwards
  StatusWriter(const StatusWriter&) = delete;
  StatusWriter& operator=(const StatusWriter&) = delete;

  void Start();
  void Stop();  // no write begins after it

  void Observe(const std::vector<api::Change>& changes);
  void Want(const api::ObjectRef& ref, std::optional<std::string> fields);
  void SetActive(bool active);

  // Waits until every status is right, but not longer than `deadline`. Whether they are, or it
  // isn't for us to write them.
  bool Drain(std::chrono::milliseconds deadline);

  StatusPlan::Statistics statistics() const;
  std::vector<StatusPlan::Fight> Fights(std::size_t most) const;

 private:
  void Run();
  bool IsSettled() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);  // nothing is left for us to write
  void Finished(const StatusPlan::Write& write, const Outcome& outcome);

  void Inquired(const api::ObjectRef& ref, std::string_view object);

  const Patch patch_;
  const Read read_;
  mutable Mutex mutex_;
  Condition wake_;     // of the thread
  Condition settled_;  // of Drain
  StatusPlan plan_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace contour::status
