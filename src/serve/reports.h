// SPDX-License-Identifier: Apache-2.0
// Reports what a build says of objects: their statuses and problems, and certificates that expire.

#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "admin/ingress_route_counts.h"
#include "admin/metrics.h"
#include "base/mutex.h"
#include "core/core.h"
#include "graph/model/certificate.h"
#include "status/held_statuses.h"
#include "status/ingress_addresses.h"
#include "status/status_files.h"
#include "status/status_writer.h"

namespace contour::serve {

// Reports the statuses of objects: in the log, in the objects, and in files if wanted. A status
// that was caused by a missing object is reported a moment later (see status/held_statuses.h).
class StatusReport {
 public:
  // Without a `directory` there are no files. `writer` nullptr: there is no API server. `addresses`
  // nullptr: Ingresses have no status. `unsure`: see status::StatusTeller.
  StatusReport(const std::string& directory, status::StatusWriter* writer,
               status::IngressAddresses* addresses, std::function<bool()> unsure);

  void Start() { teller_.Start(); }
  void Stop() { teller_.Stop(); }

  // Called on the core thread; returns at once.
  void Report(const core::Pipeline::Output& output);

 private:
  static void ReportNames(const core::Pipeline::Output& output);
  void Tell(const status::ObjectStatus& told);  // on the teller's thread

  status::StatusWriter* writer_;
  status::IngressAddresses* addresses_;
  std::optional<status::StatusFiles> files_;
  status::StatusTeller teller_;  // last: it uses the others
};

// Reports when the certificates that Envoys get expire. An expired one is served all the same,
// since a browser's warning is better than a closed port, but somebody must know. Any thread.
class Certificates {
 public:
  void Report(const core::Pipeline::Output& output);
  void AddTo(admin::MetricsText& text) const;

 private:
  mutable Mutex mutex_;
  std::map<std::string, graph::ServingSecretPtr> in_use_
      ABSL_GUARDED_BY(mutex_);  // by resource name
};

// Counts builds, for metrics. Any thread.
class BuildCounts {
 public:
  void Observe(const core::Core::Batch& batch);
  void AddTo(admin::MetricsText& text) const;

 private:
  admin::IngressRouteCounts ingress_routes_;
  admin::LatencySummary duration_;
  std::atomic<std::int64_t> last_ = 0;  // time of the last build, in seconds since 1970
};

}  // namespace contour::serve
