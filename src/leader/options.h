// SPDX-License-Identifier: Apache-2.0
// The settings of the election.
//
// Example:
//   Options options{.ns = "projectcontour"};
//   options.identity = DefaultIdentity();
//   CONTOUR_RETURN_IF_ERROR(Check(options));
//
// The three times are those of client-go's leader election, whose electors may share the lock. A
// record that nobody has renewed for `lease_duration` is free. A leader that hasn't managed to
// renew for `renew_deadline` stops writing. Tries are `retry_period` apart.

#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace contour::leader {

enum class LockKind {
  kLease,      // coordination.k8s.io/v1
  kConfigMap,  // annotation control-plane.alpha.kubernetes.io/leader, as in Contour 0.15
};

// The replicas that serve xDS. Only the leader ever writes.
enum class Serving {
  kLeader,  // only the leader has its port open
  kAll,
};

struct Options {
  LockKind kind = LockKind::kLease;
  std::string name = "contour";
  std::string ns = "leader-elect";
  std::string identity;  // unique among the replicas; not empty
  std::chrono::milliseconds lease_duration{15'000};
  std::chrono::milliseconds renew_deadline{10'000};
  std::chrono::milliseconds retry_period{2'000};
  Serving xds = Serving::kLeader;
};

// Returns the pod's name (environment POD_NAME), or else the host's name and random digits.
std::string DefaultIdentity();

// Returns kInvalidArgument if the options can't be used. The lease must last whole seconds, since
// records have seconds. It must hold that lease duration > renew deadline > 1.2 retry periods
// (client-go adds up to a fifth to a period).
absl::Status Check(const Options& options);

// Returns "lease" or "configmap".
std::string_view KindName(LockKind kind);

}  // namespace contour::leader
