// SPDX-License-Identifier: Apache-2.0
// HTTP as the room sees it. The real transport is CurlIo (curl_io.h); tests have a scripted one.
//
//   class Page : public HttpHandler { … };
//   const auto id = transport.Start({.url = "https://10.0.0.1/version", .tls = tls}, page);
//
// Everything happens on the thread of the loop that belongs to the transport. Bodies come in pieces
// as they arrive.

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

// How the server proves itself and how we do. Compared by content when a connection is looked for:
// other material means another connection.
struct TlsOptions {
  std::string ca_pem;    // empty: the system's certificate authorities
  std::string cert_pem;  // client certificate with its chain; empty: none
  std::string key_pem;
  std::string server_name;  // to expect in the certificate and to send as SNI; empty: the host of
                            // the address
  bool skip_verify = false;

  bool operator==(const TlsOptions&) const = default;
};

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;                       // sent if the method has one (POST, PUT, PATCH)
  std::shared_ptr<const TlsOptions> tls;  // nullptr: the defaults
  std::string proxy;  // "http://proxy:3128", "socks5://…"; empty: the environment's
  std::optional<std::chrono::milliseconds>
      timeout;  // of the whole exchange; unset: none, for watches
  // Accept compressed bodies. Not for watches: Kubernetes 1.37 sends each event as a gzip
  // member of its own, and libcurl 7.88 takes all but the first for an error.
  bool accept_gzip = true;
  // Asked once the connection stands, just before the request goes out; false ends it with
  // kFailedPrecondition, and the server hasn't seen it. Unset: always.
  std::function<bool()> may_start;
};

struct HttpHead {
  int status = 0;
  std::optional<std::chrono::seconds>
      retry_after;  // header Retry-After, where it is a number of seconds; at most a day
};

// Receives one response. After Cancel, and after OnEnd, nothing is called any more. Handlers may
// start and cancel requests, their own included.
class HttpHandler {
 public:
  virtual void OnHead(const HttpHead& head) = 0;    // once, before the first OnBody
  virtual void OnBody(std::string_view bytes) = 0;  // decoded (gzip)
  // The last call. OK: the response is complete, whatever its HTTP status. kDeadlineExceeded:
  // `timeout` is over. kUnavailable: not connected, or the connection broke (perhaps after OnHead).
  // kFailedPrecondition: see may_start.
  virtual void OnEnd(const absl::Status& status) = 0;

 protected:
  ~HttpHandler() = default;
};

class Transport {
 public:
  enum class RequestId : std::uint64_t {};

  virtual ~Transport() = default;

  // `handler` lives until its OnEnd or until Cancel. It is never called inside Start.
  virtual RequestId Start(HttpRequest request, HttpHandler& handler) = 0;
  // An id that has ended may be cancelled again, which does nothing.
  virtual void Cancel(RequestId id) = 0;
  // When bytes of any response came last; nullopt: never.
  virtual std::optional<TimePoint> LastReceived() const = 0;
  // Gives up all connections: running requests end with kUnavailable (soon, not inside the call),
  // later ones connect anew. For a connection that is thought to be half open.
  virtual void ResetConnections() = 0;
};

}  // namespace contour::kube
