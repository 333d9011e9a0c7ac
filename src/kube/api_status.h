// SPDX-License-Identifier: Apache-2.0
// Reads the `Status` object (meta/v1) with which the API server reports an error: as the body of an
// HTTP error or as the object of an ERROR event in a watch.

#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace contour::kube {

struct ApiStatus {
  int code = 0;        // HTTP status; 0: not given
  std::string reason;  // "Expired", "AlreadyExists", … as listed in meta/v1; may be empty
  std::string message;
  std::optional<std::chrono::seconds> retry_after;  // details.retryAfterSeconds, at most a day
  // The server doesn't know the requested resourceVersion: it hasn't got so far yet, or it was
  // restored to an older state.
  bool resource_version_too_large = false;
};

// Parses the body of an error. The message of a body that isn't a Status is its first line, since
// proxies and muxers answer in plain text.
ApiStatus ParseApiStatus(int http_status, std::string_view body);

// Returns the status with this code: 404 → kNotFound, 409 → kAlreadyExists or kAborted (conflict),
// 403 → kPermissionDenied, 410 → kOutOfRange, 422 and 400 → kInvalidArgument, 429 →
// kResourceExhausted, 5xx → kUnavailable …; 2xx → OK. The message has code and reason.
absl::Status ToStatus(const ApiStatus& status);

}  // namespace contour::kube
