// SPDX-License-Identifier: Apache-2.0
// A small HTTP/1.1 server: the one place that knows the library.
//
//   HttpServer server({.name = "--http-address, --http-port", .address = "127.0.0.1", .port = 0});
//   server.Handle(Method::kGet, "/healthz", [](const HttpRequest&) { return HttpResponse{"OK\n"}; });
//   CONTOUR_ASSIGN_OR_RETURN(const std::uint16_t port, server.Start());
//   server.Stop();
//
// Handlers run on the server's threads, up to `threads` at once; Stop waits for those that run.
// Other paths answer 404. Of a request at most 8 KiB of headers and 64 KiB of body are read, within
// 10 s; an answer may take five minutes to write.

#pragma once

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
    std::string name;  // what in the configuration says where it listens; for errors
    std::string address;
    std::uint16_t port = 0;  // 0: any free one
    std::size_t threads = 4;
    // Answers only to requests for localhost or an IP address, whatever web page a browser on this
    // machine shows: a name that was bent to 127.0.0.1 gets 403.
    bool refuse_names = false;
  };

  explicit HttpServer(Options options);
  ~HttpServer();  // stops
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  void Handle(Method method, const std::string& path, Handler handler);  // before Start

  // Binds and begins to answer; the port. The error names address and port.
  absl::StatusOr<std::uint16_t> Start();
  void Stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace contour::admin
