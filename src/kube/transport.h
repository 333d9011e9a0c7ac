// SPDX-License-Identifier: Apache-2.0
// The interface to HTTP. CurlIo (curl_io.h) implements it; tests have a transport whose answers
// they give.
//
// Example, given `Transport& transport` and `HttpHandler& page`:
//   const auto id = transport.Start({.url = "https://10.0.0.1/version"}, page);
//
// All calls happen on the thread of the loop that belongs to the transport. Bodies are delivered in
// pieces as they arrive.

#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "kube/loop.h"

namespace contour::kube {

// The certificates by which server and client authenticate. A request uses an open connection only
// if that was made with equal options.
struct TlsOptions {
  std::string ca_pem;    // empty: the system's certificate authorities
  std::string cert_pem;  // client certificate with its chain; empty: none
  std::string key_pem;
  std::string server_name;  // expected in the certificate and sent as SNI; empty: the host of the
                            // address
  bool skip_verify = false;

  bool operator==(const TlsOptions&) const = default;
};

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;                       // sent if the method has one (POST, PUT, PATCH)
  std::shared_ptr<const TlsOptions> tls;  // nullptr: the defaults
  std::string proxy;                      // "http://proxy:3128", "socks5://…"; empty: none
  std::optional<std::chrono::milliseconds>
      timeout;  // for request and response together; unset: none, for watches
  // Accept compressed bodies. Watches can't: Kubernetes 1.37 sends each event as a gzip member of
  // its own, and libcurl 7.88 takes all but the first for an error.
  bool accept_gzip = true;
  // Called when the connection is established, just before the request goes out. If it returns
  // false, the request ends with kFailedPrecondition, and the server hasn't seen it. Unset: true.
  std::function<bool()> may_start;
};

struct HttpHead {
  int status = 0;
  std::optional<std::chrono::seconds>
      retry_after;  // header Retry-After, if it is a number of seconds; at most a day
};

// Receives one response. After Cancel, and after OnEnd, nothing is called any more. Handlers may
// start and cancel requests, their own included.
class HttpHandler {
 public:
  virtual void OnHead(const HttpHead& head) = 0;    // once, before the first OnBody
  virtual void OnBody(std::string_view bytes) = 0;  // decoded (gzip)
  // The last call. OK: the response is complete, whatever its HTTP status. kDeadlineExceeded:
  // `timeout` is over. kUnavailable: there was no connection, or it broke (possibly after OnHead).
  // kFailedPrecondition: see may_start.
  virtual void OnEnd(const absl::Status& status) = 0;

 protected:
  ~HttpHandler() = default;
};

class Transport {
 public:
  enum class RequestId : std::uint64_t {};

  virtual ~Transport() = default;

  // Starts a request. `handler` must live until its OnEnd or until Cancel. It is never called
  // inside Start.
  virtual RequestId Start(HttpRequest request, HttpHandler& handler) = 0;
  // Cancels a request. Does nothing if it has ended.
  virtual void Cancel(RequestId id) = 0;
  // Returns the time when bytes of any response came last; nullopt: never.
  virtual std::optional<TimePoint> LastReceived() const = 0;
  // Closes all connections, since one seems to be half open. Running requests end with kUnavailable
  // (soon, not inside the call), and later ones connect again.
  virtual void ResetConnections() = 0;
};

}  // namespace contour::kube
