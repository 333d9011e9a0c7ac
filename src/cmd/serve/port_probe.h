// SPDX-License-Identifier: Apache-2.0
// Whether our own xDS port still takes connections. The gRPC library stops accepting for good when
// accept() fails, as it does when file descriptors run out, and says so to nobody: connections pile
// up in the kernel. Then only a new process helps, and it moves nothing in the Envoys.

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "base/mutex.h"

namespace contour::cmd {

// Checks that a server could listen there now. Where only the leader listens, a standby would
// otherwise be ready and learn that it can't serve when it leads. kUnavailable: why not.
absl::Status CheckCanListen(const std::string& address, std::uint16_t port);

class PortProbe {
 public:
  // How long in a row connections must have waited: a burst looks alike for a moment.
  explicit PortProbe(std::chrono::milliseconds patience = std::chrono::seconds(20))
      : patience_(patience) {}

  // From now on the port is to be open, or not. Any thread.
  void Opened(int port);
  void Closed();

  // Looks at the queue of connections that wait to be accepted, for at most a fifth of a second.
  // Why the process is to be started anew; empty: all is well, or not yet long enough not. Any
  // thread; asked by the liveness probe, at its pace.
  std::string NotAlive();

 private:
  const std::chrono::milliseconds patience_;
  Mutex mutex_;
  std::optional<int> port_ ABSL_GUARDED_BY(mutex_);
  std::optional<std::chrono::steady_clock::time_point> failing_since_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace contour::cmd
