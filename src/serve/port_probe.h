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
// otherwise be ready, and notice only when it leads that it can't serve. kUnavailable has the
// reason.
absl::Status CheckCanListen(const std::string& address, std::uint16_t port);

class PortProbe {
 public:
  // `patience` is how long connections must have waited without a break, since a burst looks the
  // same for a moment. `fresh` is how long a result is used again, so that many probes cost no more
  // than one.
  explicit PortProbe(std::chrono::milliseconds patience = std::chrono::seconds(20),
                     std::chrono::milliseconds fresh = std::chrono::seconds(1))
      : patience_(patience), fresh_(fresh) {}

  // These say that the port is to be open from now on, or not. They may be called on any thread.
  void Opened(int port);
  void Closed();

  // Returns why the process must be restarted; empty: it needn't be, or the fault hasn't lasted
  // long enough. It reads the queue of connections that wait to be accepted, for at most a fifth of
  // a second. If another call does so now, or did so a moment ago, it returns the last result. It
  // may be called on any thread.
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
