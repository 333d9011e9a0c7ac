// SPDX-License-Identifier: Apache-2.0
// Sends requests to one API server: it adds the server's address and our identity, and after a 401
// tries once more with a newer identity.
//
// Example, given `std::shared_ptr<Credentials> credentials`, `Loop& loop`, `Transport& transport`
// and `HttpHandler& handler`:
//   Session session(credentials, loop, transport);
//   const auto id = session.Start({.path = "/api/v1/services?limit=500"}, handler);
//
// To be used on the loop's thread only. The contract of handlers is the one of Transport; a 401
// that is tried again doesn't reach them. If there is no identity for a request (the plugin
// failed), its handler gets OnEnd with kUnauthenticated.

#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "kube/credentials.h"
#include "kube/loop.h"
#include "kube/transport.h"

namespace contour::kube {

struct ApiRequest {
  std::string method = "GET";
  std::string path;          // with the query: "/api/v1/services?limit=500"
  std::string content_type;  // of `body`; empty: application/json
  std::string body;
  std::optional<std::chrono::milliseconds> timeout;  // for each of the (at most two) tries
  bool accept_gzip = true;                           // as in HttpRequest
  std::function<bool()> may_start;                   // as in HttpRequest
};

class Session {
 public:
  enum class CallId : std::uint64_t {};

  Session(std::shared_ptr<Credentials> credentials, Loop& loop, Transport& transport);
  ~Session();  // cancels all
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  CallId Start(ApiRequest request, HttpHandler& handler);
  void Cancel(CallId id);

  Loop& loop() { return loop_; }
  Transport& transport() { return transport_; }

 private:
  class Call;

  const std::shared_ptr<Credentials> credentials_;
  Loop& loop_;
  Transport& transport_;
  std::uint64_t last_id_ = 0;
  std::map<CallId, std::shared_ptr<Call>> calls_;
};

}  // namespace contour::kube
