// SPDX-License-Identifier: Apache-2.0
// The HTTP port for the kubelet and for Prometheus: /healthz (alive), /readyz (synced and built),
// /metrics.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace contour::admin {

class HealthServer {
 public:
  // What the pages show; called from the server's threads.
  struct Views {
    std::function<std::string()> not_alive;  // why it is to be started anew; empty: alive
    std::function<std::string()> not_ready;  // why not; empty: ready
    std::function<std::string()> metrics;    // in Prometheus' text format
  };

  HealthServer(std::string address, std::uint16_t port, Views views);
  ~HealthServer();  // stops
  HealthServer(const HealthServer&) = delete;
  HealthServer& operator=(const HealthServer&) = delete;

  // Binds and begins to answer. Gives the port (useful with 0). The error names address and port.
  absl::StatusOr<std::uint16_t> Start();
  void Stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace contour::admin
