// SPDX-License-Identifier: Apache-2.0
// Sends single requests to the API server: for the lock, statuses, events, and the health of the
// server. A client has a thread and a connection of its own, so that the watches can't delay the
// lock.
//
// Example, given `std::shared_ptr<Credentials> credentials` and `const api::ObjectRef& ref`:
//   Client client(credentials, {});
//   const auto id = client.Send(MergePatchStatus(ref, "7", "{}"), [](const Response& response) {
//     if (absl::IsAborted(response.status)) std::puts("a conflict");
//   });
//   const Response version = client.Call({.path = "/version"});
//
// Requests pass a token bucket (`per_second`, `burst`) in the order in which they came; requests
// marked `urgent` (for the lock) don't wait for it. When the server answers 429, the bucket gives
// no tokens for its Retry-After, and the request is sent again if the deadline permits: the server
// hasn't done anything. All other errors are given to the caller.
//
// Deadlines count from Send and include waiting. `may_start` is called on the client's thread when
// the connection is established, just before the request goes out, and again before a repetition:
// so a leader that has lost its lock starts no write.
//
// Send, Cancel and Call may be called on any thread (Call not on the client's own). `done` runs
// once, on the client's thread, and must not block; after Cancel or the client's end it doesn't
// run.

#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "api/object.h"
#include "kube/credentials.h"
#include "kube/curl_io.h"
#include "kube/loop.h"
#include "kube/transport.h"

namespace contour::kube {

struct Request {
  std::string method = "GET";
  std::string path;          // "/api/v1/namespaces/default/configmaps/contour"; see resources.h
  std::string content_type;  // of `body`; empty: application/json
  std::string body;
  std::chrono::milliseconds deadline{10'000};
  bool urgent = false;
  std::function<bool()> may_start;  // unset: always
};

struct Response {
  // OK for 2xx. HTTP errors are those of ToStatus in api_status.h (kAborted: conflict, …).
  // kUnavailable: there was no connection, or it broke, in which case a write may have been done.
  // kFailedPrecondition: `may_start` returned false. Also kDeadlineExceeded, kUnauthenticated.
  absl::Status status;
  int http_status = 0;  // 0: there was no answer
  std::string body;     // at most 4 MiB; longer is an error
  std::optional<std::chrono::seconds> retry_after;
};

struct ClientOptions {
  double per_second = 20;
  int burst = 40;
  CurlIo::Options io{.name = "kube-write"};
};

class Client {
 public:
  enum class RequestId : std::uint64_t {};
  using Done = std::function<void(const Response&)>;

  Client(std::shared_ptr<Credentials> credentials, ClientOptions options);
  // Uses the given loop and transport, which outlive the client.
  Client(std::shared_ptr<Credentials> credentials, ClientOptions options, Loop& loop,
         Transport& transport);
  ~Client();  // cancels all
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  RequestId Send(Request request, Done done);
  void Cancel(RequestId id);
  // Sends, and waits for the answer. It is for tests and the command line.
  Response Call(Request request);

 private:
  class Impl;
  std::unique_ptr<CurlIo> io_;  // nullptr: loop and transport were given
  std::unique_ptr<Impl> impl_;
};

// The field manager of our writes (metadata.managedFields).
inline constexpr const char* kFieldManager = "contour-status";

// Returns a JSON merge patch of the status subresource, which the server applies only if the object
// still has `resource_version` (kAborted otherwise). `status` is the JSON of the changed fields.
Request MergePatchStatus(const api::ObjectRef& ref, std::string_view resource_version,
                         std::string_view status);

}  // namespace contour::kube
