// SPDX-License-Identifier: Apache-2.0
// The files of the xDS port's TLS: when they expire. An Envoy that is refused keeps its last
// configuration, so that nobody would notice until the next change.

#pragma once

#include <string>
#include <vector>

#include "admin/metrics.h"
#include "config/serve.h"

namespace contour::cmd {

class OwnCertificates {
 public:
  // Without TLS there are none.
  explicit OwnCertificates(const config::Serve& config);

  // In the log, if one has expired or nears its end.
  void Warn() const;
  // As the files are now. Any thread.
  void AddTo(admin::MetricsText& text) const;

 private:
  std::vector<std::string> files_;
};

}  // namespace contour::cmd
