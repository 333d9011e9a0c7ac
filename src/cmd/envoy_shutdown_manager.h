// SPDX-License-Identifier: Apache-2.0
// An HTTP server beside an Envoy, in its pod, for which Envoy's preStop hook waits:
//
//   GET /healthz    200
//   GET /shutdown   answered, 200, when the ready file is there (see envoy_shutdown.h); 503 if the
//                   manager ends before
//
// Example:
//   ShutdownManager manager("0.0.0.0", 8090, "/admin/ok");
//   CONTOUR_RETURN_IF_ERROR(manager.Start().status());
//
// Any client that reaches the port can wait, 64 at a time and 8 of one address, and do nothing
// else. A client that closes makes room for the next (see admin/http_server.h for slow and idle
// ones). When the manager stops, clients that wait for a file that exists are answered first: in a
// pod both hooks end at the same time.

#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace contour::cmd {

class ShutdownManager {
 public:
  // Looks for the file once in each `interval`.
  ShutdownManager(std::string address, std::uint16_t port, std::string ready_file,
                  std::chrono::milliseconds interval = std::chrono::seconds(1));
  ~ShutdownManager();  // stops
  ShutdownManager(const ShutdownManager&) = delete;
  ShutdownManager& operator=(const ShutdownManager&) = delete;

  // Binds and begins to answer. Returns the port (useful with 0).
  absl::StatusOr<std::uint16_t> Start();
  void Stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace contour::cmd
