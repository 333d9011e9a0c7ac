// SPDX-License-Identifier: Apache-2.0
// Takes an Envoy out of service without a failed request, before its pod ends.
//
//   1. wait `drain_delay`: balancers that use Kubernetes' endpoints learn that the pod ends
//   2. POST /healthcheck/fail: readiness fails, and Envoy asks its clients to close, by `connection:
//      close` (HTTP/1.1) and GOAWAY (HTTP/2) with the next answers
//   3. wait `check_delay`, in which balancers that probe Envoy's health learn the same, then count
//      the open HTTP connections every `check_interval`
//   4. few enough, or `drain_timeout` over: the ready file is written, for which the shutdown
//      manager (envoy_shutdown_manager.h) lets Envoy's preStop hook wait
//
// Both delays are needed even if no connection is open: with one connection per request there often
// is none, and the next one would come to an Envoy that has ended.
//
// Clients of the TCP proxy can't be asked to close, and are not waited for. Drain() blocks; to be
// used on one thread. Waiting and requests to Envoy are functions that tests replace.

#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace contour::cmd {

struct ShutdownOptions {
  std::string admin_address = "/admin/admin.sock";  // path of a Unix socket, or loopback address
  std::uint16_t admin_port = 9001;                  // used with an address
  std::string ready_file = "/admin/ok";
  std::chrono::nanoseconds drain_delay = std::chrono::seconds(5);
  std::chrono::nanoseconds check_delay = std::chrono::seconds(5);
  std::chrono::nanoseconds check_interval = std::chrono::seconds(5);
  std::chrono::nanoseconds drain_timeout = std::chrono::seconds(280);  // since step 2
  std::uint64_t min_open_connections = 0;
};

// Returns the sum of the gauges envoy_http_downstream_cx_active in Prometheus' text, without
// Envoy's own listeners (stats, health, admin). kInvalidArgument: a line can't be read.
absl::StatusOr<std::uint64_t> OpenConnections(std::string_view text);

// The effects of Drain().
struct ShutdownActions {
  std::function<absl::Status()> fail_health_check;
  std::function<absl::StatusOr<std::string>()> connection_stats;  // for OpenConnections()
  std::function<void(std::chrono::nanoseconds)> sleep;
  std::function<std::chrono::steady_clock::time_point()> now;
  std::function<absl::Status()> write_ready_file;
};

// Fails if the request to Envoy fails in four tries (after 0.2, 1 and 5 s), or if the file can't be
// written. Connections that can't be counted once are counted the next time.
absl::Status Drain(const ShutdownOptions& options, const ShutdownActions& actions);

// Returns the functions for a real Envoy.
ShutdownActions RealShutdownActions(const ShutdownOptions& options);

}  // namespace contour::cmd
