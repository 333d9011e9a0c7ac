// SPDX-License-Identifier: Apache-2.0
// Checks that contour's own xDS port still accepts connections. The gRPC library stops accepting
// for good when accept() fails, as it does when file descriptors run out, and reports it to nobody:
// connections wait in the kernel. Only a new process helps then, and Envoys keep their
// configuration meanwhile.

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "base/mutex.h"

namespace contour::serve {

// Checks that a server could listen there now. Where only the leader listens, a standby would
// otherwise be ready and learn that it can't serve when it leads. kUnavailable: why not.
absl::Status CheckCanListen(const std::string& address, std::uint16_t port);

class PortProbe {
 public:
  // `patience`: how long in a row connections must have waited, since a burst looks alike for a
  // moment. `fresh`: how long a look is good for, so that many probes cost no more than one.
  explicit PortProbe(std::chrono::milliseconds patience = std::chrono::seconds(20),
                     std::chrono::milliseconds fresh = std::chrono::seconds(1))
      : patience_(patience), fresh_(fresh) {}

  // From now on the port is to be open, or not. Any thread.
  void Opened(int port);
  void Closed();

  // Returns why the process is to be started anew; empty: all is well, or not yet long enough not.
  // Looks at the queue of connections that wait to be accepted, for at most a fifth of a second; if
  // somebody else is looking, or did so a moment ago, returns what was found last. Any thread.
  std::string NotAlive();

 private:
  void Forget() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::chrono::milliseconds patience_;
  const std::chrono::milliseconds fresh_;
  Mutex mutex_;
  std::optional<int> port_ ABSL_GUARDED_BY(mutex_);
  std::optional<std::chrono::steady_clock::time_point> failing_since_ ABSL_GUARDED_BY(mutex_);
  std::optional<std::chrono::steady_clock::time_point> looked_ ABSL_GUARDED_BY(mutex_);
  bool looking_ ABSL_GUARDED_BY(mutex_) = false;
  std::string said_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace contour::serve
