// SPDX-License-Identifier: Apache-2.0

#include "admin/health_server.h"

#include <httplib.h>

#include <thread>
#include <utility>

#include "base/status.h"

namespace contour::admin {

class HealthServer::Impl {
 public:
  Impl(std::string address, std::uint16_t port, Views views)
      : address_(std::move(address)), port_(port), views_(std::move(views)) {
    server_.set_read_timeout(10, 0);
    server_.set_write_timeout(300, 0);
    server_.set_payload_max_length(2048);
    const auto alive = [this](const httplib::Request&, httplib::Response& response) {
      const std::string reason = views_.not_alive ? views_.not_alive() : std::string();
      response.status = reason.empty() ? 200 : 503;
      response.set_content(reason.empty() ? "OK\n" : reason + "\n", "text/plain");
    };
    server_.Get("/healthz", alive);
    server_.Get("/health", alive);
    server_.Get("/readyz", [this](const httplib::Request&, httplib::Response& response) {
      const std::string reason = views_.not_ready();
      response.status = reason.empty() ? 200 : 503;
      response.set_content(reason.empty() ? "OK\n" : reason + "\n", "text/plain");
    });
    server_.Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
      response.set_content(views_.metrics(), "text/plain; version=0.0.4");
    });
  }

  ~Impl() { Stop(); }

  absl::StatusOr<std::uint16_t> Start() {
    int bound = port_;
    if (port_ == 0) {
      bound = server_.bind_to_any_port(address_);
    } else if (!server_.bind_to_port(address_, port_)) {
      bound = -1;
    }
    if (bound < 0)
      return Unavailable("--http-address, --http-port: can't listen on {}:{}", address_, port_);
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
  std::string address_;
  std::uint16_t port_;
  Views views_;
  httplib::Server server_;
  std::thread thread_;
};

HealthServer::HealthServer(std::string address, std::uint16_t port, Views views)
    : impl_(std::make_unique<Impl>(std::move(address), port, std::move(views))) {}
HealthServer::~HealthServer() = default;
absl::StatusOr<std::uint16_t> HealthServer::Start() { return impl_->Start(); }
void HealthServer::Stop() { impl_->Stop(); }

}  // namespace contour::admin
