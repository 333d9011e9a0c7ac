// SPDX-License-Identifier: Apache-2.0
// Requests to one API server: adds its address and our identity, and after a 401 tries once more
// with a newer one.
//
//   Session session(credentials, loop, transport);
//   const auto id = session.Start({.path = "/api/v1/services?limit=500"}, handler);
//
// The loop's thread only. The handler's contract is that of Transport; a 401 that is tried again
// doesn't reach it. A handler whose request has no identity (the plugin failed) gets OnEnd with
// kUnauthenticated.

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
  std::optional<std::chrono::milliseconds> timeout;  // of each of the (at most two) tries
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
