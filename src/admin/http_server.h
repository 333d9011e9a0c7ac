// SPDX-License-Identifier: Apache-2.0
// A small HTTP/1.1 server. No other file includes the HTTP library.
//
// Example:
//   HttpServer server({.name = "--http-address, --http-port", .address = "127.0.0.1", .port = 0});
//   server.Handle(HttpServer::Method::kGet, "/healthz",
//                 [](const HttpRequest&) { return HttpResponse{"OK\n"}; });
//   CONTOUR_ASSIGN_OR_RETURN(const std::uint16_t port, server.Start());
//   server.Stop();
//
// Handlers run on the server's threads; Stop waits for those that run. Other paths answer 404.
//
// No client can keep others waiting (docs/decisions/0037): each connection has a thread of its own,
// up to Options::connections; when there are more, the one that has waited longest for its client
// is ended. A request must be complete within Options::request, even if its bytes come one by one,
// and the client must read the answer within Options::answer. At most 16 KiB of headers and 64 KiB
// of body are read.

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace contour::admin {

struct HttpRequest {
  std::function<std::optional<std::string>(const std::string& name)> parameter;  // of the query
  std::string body;
  bool from_loopback = false;
  std::function<bool()> client_left;  // True if the client has closed the connection.
};

struct HttpResponse {
  std::string body;
  int status = 200;
  std::string type = "text/plain; charset=utf-8";
};

class HttpServer {
 public:
  enum class Method : std::uint8_t { kGet, kPost, kPut };
  using Handler = std::function<HttpResponse(const HttpRequest&)>;

  struct Options {
    std::string name;  // of the settings that say where it listens; for errors
    std::string address;
    std::uint16_t port = 0;                     // 0: any free one
    std::size_t connections = 64;               // at a time
    std::chrono::milliseconds idle{5'000};      // until the first byte of a request
    std::chrono::milliseconds request{10'000};  // from there until its last byte
    std::chrono::milliseconds answer{30'000};   // until the client has read the answer
    // Answers only requests for localhost or an IP address. So a web page in a browser on this
    // machine whose name was rebound to 127.0.0.1 gets 403.
    bool refuse_names = false;
  };
  // Limits how many requests for a path are answered at a time; further ones get 503. A request
  // counts until its answer is written. One whose client reads slowly is ended for the next.
  struct Limit {
    std::size_t at_most;
    std::size_t per_address = 0;  // for one client's address; 0: the same
  };

  explicit HttpServer(Options options);
  ~HttpServer();  // stops
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // To be called before Start. A handler without a limit must be quick.
  void Handle(Method method, const std::string& path, Handler handler,
              std::optional<Limit> limit = std::nullopt);

  // Binds and begins to answer. Returns the port. The error names address and port.
  absl::StatusOr<std::uint16_t> Start();
  void Stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace contour::admin
