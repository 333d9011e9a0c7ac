// SPDX-License-Identifier: Apache-2.0
// Single requests to the API server: the lock, statuses, events, the health of the server. Has a
// thread and a connection of its own, so that nothing that happens to the watches delays the lock.
//
//   Client client(credentials, {});
//   const auto id = client.Send(
//       MergePatchStatus(ref, resource_version, status),
//       [](const Response& response) { if (absl::IsAborted(response.status)) … });
//   const Response version = client.Call({.path = "/version"});
//
// Rate: requests pass a token bucket (`per_second`, `burst`) in the order in which they came; those
// marked `urgent` (the lock) go past it. When the server says 429, the bucket stands still for its
// Retry-After and the request is sent again, deadline permitting: the server hasn't done anything.
// All other errors are handed to the caller.
//
// Deadlines count from Send, waiting included. `may_start` is asked on the client's thread once the
// connection stands, just before the request goes out (again before a repetition): a leader that
// has lost its lock starts no write.
//
// Send, Cancel, Call: any thread (Call not the client's own). `done` runs on the client's thread,
// once, and must not block; after Cancel or the client's end it doesn't run.

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
  std::string path;  // "/api/v1/namespaces/default/configmaps/contour"; resources.h makes them
  std::string content_type;  // of `body`; empty: application/json
  std::string body;
  std::chrono::milliseconds deadline{10'000};
  bool urgent = false;
  std::function<bool()> may_start;  // unset: always
};

struct Response {
  // OK for 2xx. HTTP errors as ToStatus of api_status.h has them (kAborted: conflict, …);
  // kDeadlineExceeded; kUnavailable: no connection, or it broke, in which case a write may have
  // been done; kUnauthenticated; kFailedPrecondition: `may_start` said no.
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
  // On a loop and transport of somebody else, which outlive it.
  Client(std::shared_ptr<Credentials> credentials, ClientOptions options, Loop& loop,
         Transport& transport);
  ~Client();  // cancels all
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  RequestId Send(Request request, Done done);
  void Cancel(RequestId id);
  // Send, and wait for the answer: for tests and the command line.
  Response Call(Request request);

 private:
  class Impl;
  std::unique_ptr<CurlIo> io_;  // nullptr: somebody else's is used
  std::unique_ptr<Impl> impl_;
};

// The name under which the server notes our writes (metadata.managedFields).
inline constexpr const char* kFieldManager = "contour-status";

// A JSON merge patch of the status subresource, which the server applies only if the object is
// still at `resource_version` (kAborted otherwise). `status` is the JSON of the changed fields.
Request MergePatchStatus(const api::ObjectRef& ref, std::string_view resource_version,
                         std::string_view status);

}  // namespace contour::kube
