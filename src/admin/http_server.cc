// SPDX-License-Identifier: Apache-2.0

#include "admin/http_server.h"

#include <arpa/inet.h>
#include <httplib.h>

#include <thread>
#include <utility>

#include "base/status.h"

namespace contour::admin {
namespace {

bool IsAddress(const std::string& text) {
  in6_addr unused{};
  return inet_pton(AF_INET, text.c_str(), &unused) == 1 ||
         inet_pton(AF_INET6, text.c_str(), &unused) == 1;
}

bool IsLoopback(const std::string& address) {
  return address.starts_with("127.") || address == "::1" || address.starts_with("::ffff:127.");
}

// The host of a Host header: without port and brackets.
std::string HostOf(const std::string& header) {
  if (header.starts_with('[')) return header.substr(1, header.find(']') - 1);
  return header.substr(0, header.rfind(':'));
}

}  // namespace

class HttpServer::Impl {
 public:
  explicit Impl(Options options) : options_(std::move(options)) {
    server_.set_read_timeout(10, 0);
    server_.set_write_timeout(300, 0);
    server_.set_payload_max_length(64 << 10);
    server_.new_task_queue = [threads = options_.threads] {
      return new httplib::ThreadPool(threads);
    };
    if (options_.refuse_names) {
      server_.set_pre_routing_handler(
          [](const httplib::Request& request, httplib::Response& response) {
            const std::string host = HostOf(request.get_header_value("Host"));
            if (host == "localhost" || IsAddress(host))
              return httplib::Server::HandlerResponse::Unhandled;
            response.status = 403;
            response.set_content("only by address or as localhost\n", "text/plain");
            return httplib::Server::HandlerResponse::Handled;
          });
    }
  }

  ~Impl() { Stop(); }

  void Handle(Method method, const std::string& path, Handler handler) {
    const auto handle = [handler = std::move(handler)](const httplib::Request& request,
                                                       httplib::Response& response) {
      HttpResponse made =
          handler({.parameter = [&](const std::string& name) -> std::optional<std::string> {
                     if (!request.has_param(name.c_str())) return std::nullopt;
                     return request.get_param_value(name.c_str());
                   },
                   .body = request.body,
                   .from_loopback = IsLoopback(request.remote_addr)});
      response.status = made.status;
      response.set_content(std::move(made.body), made.type.c_str());
    };
    switch (method) {
      case Method::kGet:
        server_.Get(path, handle);
        return;
      case Method::kPost:
        server_.Post(path, handle);
        return;
      case Method::kPut:
        server_.Put(path, handle);
        return;
    }
  }

  absl::StatusOr<std::uint16_t> Start() {
    int bound = options_.port;
    if (options_.port == 0) {
      bound = server_.bind_to_any_port(options_.address);
    } else if (!server_.bind_to_port(options_.address, options_.port)) {
      bound = -1;
    }
    if (bound < 0)
      return Unavailable("{}: can't listen on {}:{}", options_.name, options_.address,
                         options_.port);
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    // A stop() before the loop has begun would be lost, and Stop() would wait for ever.
    while (!server_.is_running()) std::this_thread::yield();
    return static_cast<std::uint16_t>(bound);
  }

  void Stop() {
    if (!thread_.joinable()) return;
    server_.stop();
    thread_.join();
  }

 private:
  const Options options_;
  httplib::Server server_;
  std::thread thread_;
};

HttpServer::HttpServer(Options options) : impl_(std::make_unique<Impl>(std::move(options))) {}
HttpServer::~HttpServer() = default;
void HttpServer::Handle(Method method, const std::string& path, Handler handler) {
  impl_->Handle(method, path, std::move(handler));
}
absl::StatusOr<std::uint16_t> HttpServer::Start() { return impl_->Start(); }
void HttpServer::Stop() { impl_->Stop(); }

}  // namespace contour::admin
