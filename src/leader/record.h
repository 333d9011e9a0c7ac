// SPDX-License-Identifier: Apache-2.0
// What a lock says: who holds it, since when, and how long that counts. Stored as client-go's
// electors store it, so that they and we can take turns:
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
  // As written. Only ever compared and copied: clocks of different machines don't agree, so expiry
  // goes by when *we* saw the record change.
  std::string acquire_time;
  std::string renew_time;
  int transitions = 0;  // how often the holder changed

  bool operator==(const Record&) const = default;
};

// A lock as it was read.
struct Reading {
  std::string resource_version;
  std::string uid;
  Record record;
  std::string object;  // its JSON, for the write that follows
};

// Errors: kInvalidArgument for what isn't an object of that kind. An object without a record is
// free; a record that can't be understood is somebody's: holder "unknown (…)".
absl::StatusOr<Reading> Parse(LockKind kind, std::string_view object);

// The object of `base` with another record: the body of an update, which the server refuses if the
// object isn't at that resourceVersion any more.
std::string WithRecord(LockKind kind, const Reading& base, const Record& record);
// A new object: the body of a create.
std::string NewObject(const Options& options, const Record& record);

// `2019-09-05T10:11:12.000000Z` for a Lease, `2019-09-05T10:11:12Z` for a ConfigMap.
std::string FormatTime(LockKind kind, std::chrono::system_clock::time_point time);

}  // namespace contour::leader
