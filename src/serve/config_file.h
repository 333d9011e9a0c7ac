// SPDX-License-Identifier: Apache-2.0
// Follows the configuration file of a running process. Settings that need no restart are applied at
// once; settings that wait for a restart are named in the log and in metrics.

#pragma once

#include <memory>

#include "admin/metrics.h"
#include "base/mutex.h"
#include "config/file_watch.h"
#include "config/serve.h"

namespace contour::serve {

class ConfigFile {
 public:
  // `started` has the settings with which the process was started. Without a file nothing is
  // watched.
  ConfigFile(std::shared_ptr<const config::LoadedServe> started, config::GivenFlags flags);
  ConfigFile(const ConfigFile&) = delete;
  ConfigFile& operator=(const ConfigFile&) = delete;

  void AddTo(admin::MetricsText& text) const;  // any thread

 private:
  void Changed(const absl::StatusOr<std::string>& text);

  const std::shared_ptr<const config::LoadedServe> started_;
  const config::GivenFlags flags_;
  mutable Mutex mutex_;
  std::shared_ptr<const config::LoadedServe> latest_
      ABSL_GUARDED_BY(mutex_);  // the settings that the file has now, if it has no error
  bool wrong_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<config::FileWatch> watch_;  // last: it calls Changed
};

}  // namespace contour::serve
