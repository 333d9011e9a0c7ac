// SPDX-License-Identifier: Apache-2.0
// Whether our own xDS port still takes connections. The gRPC library stops listening for good when
// accept() fails, as it does when file descriptors run out: then only a new process helps, and it
// moves nothing in the Envoys.

#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>

namespace contour::cmd {

class PortProbe {
 public:
  // How long in a row it must have failed: a full queue of connections looks alike for a moment.
  explicit PortProbe(std::chrono::milliseconds patience = std::chrono::seconds(20))
      : patience_(patience) {}

  // From now on the port is to be open, or not. Any thread.
  void Opened(const std::string& address, int port);
  void Closed();

  // Tries a connection, for at most a second, if the port is to be open. Why the process is to be
  // started anew; empty: all is well, or not yet long enough not. Any thread; asked by the liveness
  // probe, at its pace.
  std::string NotAlive();

 private:
  struct Target {
    std::string address;
    int port = 0;
  };

  const std::chrono::milliseconds patience_;
  std::mutex mutex_;
  std::optional<Target> target_;
  std::optional<std::chrono::steady_clock::time_point> failing_since_;
};

}  // namespace contour::cmd
