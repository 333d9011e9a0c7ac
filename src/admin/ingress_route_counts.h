// SPDX-License-Identifier: Apache-2.0
// Counts the IngressRoutes of each status, by namespace and virtual host, for the gauges of Contour
// 0.15. The counts are updated as statuses change, so that a scrape costs only what it shows.
//
// Example, given `const graph::Status& status` and `MetricsText& text`:
//   IngressRouteCounts counts;
//   counts.SetStatus("default", "www", status);  // nullopt: gone, or not ours any more
//   counts.SetRoot("default", "www", true);      // has a virtualhost
//   counts.AddTo(text);
//
// Beyond kOwnHosts virtual hosts of a namespace the rest is counted together under the virtual host
// "(others)", so that sums stay right while the number of series stays bounded.
//
// The methods may be called on any thread.

#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "admin/metrics.h"
#include "base/mutex.h"
#include "graph/model/status.h"

namespace contour::admin {

class IngressRouteCounts {
 public:
  static constexpr std::size_t kOwnHosts = 2000;
  static constexpr const char* kOthers = "(others)";

  void SetStatus(const std::string& ns, const std::string& name,
                 const std::optional<graph::Status>& status);
  // Sets whether the object is a root; nullopt: it is gone.
  void SetRoot(const std::string& ns, const std::string& name, std::optional<bool> root);

  void AddTo(MetricsText& text) const;

 private:
  enum class State { kValid, kInvalid, kOrphaned, kUnknown };
  struct Object {
    bool root = false;
    std::optional<State> state;  // nullopt: it has no status
    std::string vhost;
  };
  struct ByHost {
    std::size_t all = 0;
    std::map<std::string, std::size_t> hosts;
  };
  struct Namespace {
    std::size_t all = 0;
    std::size_t roots = 0;
    std::size_t orphaned = 0;
    ByHost valid;
    ByHost invalid;
  };
  // The series of a namespace.
  struct Figures;
  using Key = std::pair<std::string, std::string>;  // namespace, name

  static void Step(std::size_t& number, bool in) { in ? ++number : --number; }
  static void Step(ByHost& numbers, const std::string& host, bool in);

  // Returns the first namespace after `ns`; nullopt: there is none. The lock is held only while its
  // figures are copied, since the core waits for it.
  std::optional<Figures> After(const std::string& ns) const ABSL_LOCKS_EXCLUDED(mutex_);

  // Adds the object to the counts, or removes it.
  void Count(const std::string& ns, const Object& object, bool in)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  std::map<Key, Object> objects_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Namespace> namespaces_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace contour::admin
