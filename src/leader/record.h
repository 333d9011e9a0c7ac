// SPDX-License-Identifier: Apache-2.0
// The record of a lock: who holds it, since when, and for how long. It is stored in the form of
// client-go's electors, so that they and ours can share a lock:
//
//   Lease      spec: {holderIdentity, leaseDurationSeconds, acquireTime, renewTime,
//              leaseTransitions}, times with microseconds
//   ConfigMap  metadata.annotations["control-plane.alpha.kubernetes.io/leader"]: the JSON text
//              {"holderIdentity", "leaseDurationSeconds", "acquireTime", "renewTime",
//              "leaderTransitions"}, times in whole seconds
//
// Everything else in the object stays as it is. Pure functions.

#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "leader/options.h"

namespace contour::leader {

struct Record {
  std::string holder;  // empty: free
  std::optional<std::chrono::seconds> lease_duration;
  // The texts of the record. They are only compared and copied: clocks of different machines don't
  // agree, so expiry counts from the time when this process saw the record change.
  std::string acquire_time;
  std::string renew_time;
  int transitions = 0;  // how often the holder changed

  bool operator==(const Record&) const = default;
};

// The state of a lock when it was read.
struct Reading {
  std::string resource_version;
  std::string uid;
  Record record;
  std::string object;  // the JSON of the object, for the next write
};

// Parses a lock. kInvalidArgument: `object` isn't an object of that kind. An object without a
// record is free. A record that can't be understood counts as held: its holder is "unknown (…)".
absl::StatusOr<Reading> Parse(LockKind kind, std::string_view object);

// Returns the object of `base` with another record, which is the body of an update. The server
// refuses it if the object has another resourceVersion by then.
std::string WithRecord(LockKind kind, const Reading& base, const Record& record);
// Returns a new object, which is the body of a create.
std::string NewObject(const Options& options, const Record& record);

// Returns `2019-09-05T10:11:12.000000Z` for a Lease, `2019-09-05T10:11:12Z` for a ConfigMap.
std::string FormatTime(LockKind kind, std::chrono::system_clock::time_point time);

}  // namespace contour::leader
