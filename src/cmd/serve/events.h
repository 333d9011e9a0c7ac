// SPDX-License-Identifier: Apache-2.0
// Tells the authors of objects that an Envoy refuses what came of them: a line in the log and, with
// an API server, an Event of reason EnvoyRejected on each source object (v1 Event,
// https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/). Every replica
// that serves an Envoy tells what it saw.
//
//   RefusalReport refusals(client);            // nullptr: no API server, the log only
//   refusals.Start(core);
//   refusals.Add(view, /*begins=*/true);       // any thread, returns at once
//   refusals.Stop();                           // before the core's
//
// Bounded: kWaiting reports wait, what comes beyond is left to the server's own line in the log;
// kSources objects of a report are named; at most kPerMinute Events are written. A refusal that
// comes again is the same Event with a higher count.

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "base/worker_thread.h"
#include "core/core.h"
#include "kube/client.h"
#include "xds/session/views.h"

namespace contour::cmd {

class RefusalReport {
 public:
  static constexpr std::size_t kWaiting = 256;
  static constexpr std::size_t kSources = 4;
  static constexpr std::size_t kPerMinute = 30;

  explicit RefusalReport(kube::Client* client) : client_(client) {}
  ~RefusalReport() { Stop(); }
  RefusalReport(const RefusalReport&) = delete;
  RefusalReport& operator=(const RefusalReport&) = delete;

  void Start(core::Core& core);
  void Stop();
  void Add(const xds::QuarantineView& view, bool begins) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Report {
    xds::QuarantineView view;
    bool begins = true;
  };

  // Returns the report that waits longest; nullopt: none waits.
  std::optional<Report> Next() ABSL_LOCKS_EXCLUDED(mutex_);
  void Tell(const Report& report, core::Core& core);
  void Write(const graph::ObjectView& object, const xds::QuarantineView& view);
  bool MayWrite();

  kube::Client* const client_;
  // Of the thread.
  std::map<std::string, std::uint64_t> written_;  // how often, by the Event's name
  std::deque<std::chrono::steady_clock::time_point> recent_;

  Mutex mutex_;
  std::deque<Report> waiting_ ABSL_GUARDED_BY(mutex_);
  WorkerThread worker_;
};

}  // namespace contour::cmd
