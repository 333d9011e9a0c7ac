// SPDX-License-Identifier: Apache-2.0
// The HTTP port for the kubelet and for Prometheus: /healthz (alive), /readyz (synced and built),
// /metrics. Probes are answered whatever scrapers and slow clients do (see http_server.h); what the
// views for probes ask must not wait for what may be busy.

#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "admin/http_server.h"

namespace contour::admin {

class HealthServer {
 public:
  // What the pages show; called from the server's threads.
  struct Views {
    // Why it is to be started anew; empty: alive. May be unset.
    std::function<std::string()> not_alive;
    std::function<std::string()> not_ready;  // why not; empty: ready
    std::function<std::string()> remark;     // to say though ready; empty: nothing. May be unset.
    std::function<std::string()> metrics;    // in Prometheus' text format
  };

  HealthServer(std::string address, std::uint16_t port, const Views& views);

  // Binds and begins to answer. Gives the port (useful with 0). The error names address and port.
  absl::StatusOr<std::uint16_t> Start() { return server_.Start(); }
  void Stop() { server_.Stop(); }

 private:
  HttpServer server_;
};

}  // namespace contour::admin
