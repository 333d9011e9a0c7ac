// SPDX-License-Identifier: Apache-2.0
// Brings the statuses on the API server to what they should be. Compares what is wanted with what
// the server is known to have, and writes only the difference:
//
//   StatusWriter writer(patch, {});
//   writer.Start();
//   writer.Observe(changes);          // each batch of a source: what the server has
//   writer.Want(ref, status);         // each change of a status: what it should have
//   writer.Stop();
//
// - Latest wins: one write per object is under way, and what came meanwhile is looked at when it is
// done.
// - A write carries the resourceVersion of the object that it was judged by. A conflict is no
// error: the newer object is
//   on its way, and is judged when it comes.
// - Other failures are tried again after 0.5 s, twice as long each time up to 30 s, with up to a
// fifth of jitter.
// - Nothing differs, nothing is written; so a status that somebody else changes is put right once.
//
// Threads: one of its own. All methods from any; `patch` is called on the writer's thread and its
// `done` may come on any.

#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "api/ingress_route.h"
#include "api/source.h"
#include "graph/model.h"

namespace contour::status {

class StatusWriter {
 public:
  // Writes the status of an object that is at `resource_version`; `done` is told kAborted on a
  // conflict, kNotFound if the object is gone.
  using Done = std::function<void(const absl::Status&)>;
  using Patch = std::function<void(const api::ObjectRef& ref, const std::string& resource_version,
                                   const graph::Status& status, Done done)>;

  struct Options {
    std::size_t parallel = 16;  // writes under way at once
    std::chrono::milliseconds first_delay{500};
    std::chrono::milliseconds most_delay{30'000};
  };

  StatusWriter(Patch patch, Options options);
  ~StatusWriter();  // stops; no `done` may come afterwards
  StatusWriter(const StatusWriter&) = delete;
  StatusWriter& operator=(const StatusWriter&) = delete;

  void Start();
  void Stop();  // no write begins after it

  void Observe(const std::vector<api::Change>& changes);
  void Want(const api::ObjectRef& ref, const std::optional<graph::Status>& status);

  struct Statistics {
    std::uint64_t written = 0;
    std::uint64_t conflicts = 0;
    std::uint64_t failures = 0;
    std::size_t waiting = 0;  // objects whose status isn't right yet
  };
  Statistics statistics() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Entry {
    std::optional<graph::Status> wanted;
    // As the server has it; empty version: not known to exist.
    std::string resource_version;
    api::IngressRouteStatus known;
    bool under_way = false;
    int failures = 0;         // in a row
    Clock::time_point due{};  // not before
  };

  static bool Differs(const Entry& entry);
  void Run();
  void Finished(const api::ObjectRef& ref, const graph::Status& written, const std::string& version,
                const absl::Status& status);
  // Puts the entry where the thread looks, or takes it away; `mutex_` is held.
  void Judge(const api::ObjectRef& ref, Entry& entry);

  const Patch patch_;
  const Options options_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::map<api::ObjectRef, Entry> entries_;
  std::multimap<Clock::time_point, api::ObjectRef>
      queue_;  // by when it is due; may hold stale rows
  std::size_t under_way_ = 0;
  bool stopping_ = false;
  Statistics statistics_;
  std::thread thread_;
};

// The JSON of the fields that we write.
std::string StatusJson(const graph::Status& status);

}  // namespace contour::status
