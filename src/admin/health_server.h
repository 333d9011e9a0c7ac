// SPDX-License-Identifier: Apache-2.0
// Serves the HTTP port for the kubelet and Prometheus: /healthz (alive), /readyz (synced and built)
// and /metrics. Probes are answered whatever scrapers and slow clients do (see http_server.h). The
// functions for probes must not wait for a thread that may be busy.

#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "admin/http_server.h"

namespace contour::admin {

class HealthServer {
 public:
  // The content of the pages; called on the server's threads.
  struct Views {
    // Returns why the process should be restarted; empty: it is alive. May be unset.
    std::function<std::string()> not_alive;
    std::function<std::string()> not_ready;  // why not; empty: ready
    std::function<std::string()> remark;     // to say though ready; empty: nothing. May be unset.
    std::function<std::string()> metrics;    // in Prometheus' text format
  };

  HealthServer(std::string address, std::uint16_t port, const Views& views);

  // Binds and begins to answer. Returns the port (useful with 0). The error names address and port.
  absl::StatusOr<std::uint16_t> Start() { return server_.Start(); }
  void Stop() { server_.Stop(); }

 private:
  HttpServer server_;
};

}  // namespace contour::admin
