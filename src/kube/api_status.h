// SPDX-License-Identifier: Apache-2.0
// The `Status` object (meta/v1) in which the API server says what went wrong: as the body of an
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
  // The resourceVersion asked for is one that the server hasn't seen (yet, or any more after it was
  // restored).
  bool resource_version_too_large = false;
};

// Anything that isn't a Status gives its first line as the message (proxies and muxers answer in
// plain text).
ApiStatus ParseApiStatus(int http_status, std::string_view body);

// 404 → kNotFound, 409 → kAlreadyExists or kAborted (conflict), 403 → kPermissionDenied, 410 →
// kOutOfRange, 422 and 400 → kInvalidArgument, 429 → kResourceExhausted, 5xx → kUnavailable …; 2xx
// → OK. The message has code and reason.
absl::Status ToStatus(const ApiStatus& status);

}  // namespace contour::kube
