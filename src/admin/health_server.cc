// SPDX-License-Identifier: Apache-2.0

#include "admin/health_server.h"

#include <utility>

namespace contour::admin {
namespace {

// Far more than kubelet and Prometheus open; each has a thread, so that a probe never waits for a
// scrape.
constexpr std::size_t kConnections = 64;
// The limit of scrapes at a time: for two replicas of Prometheus, and some more.
constexpr std::size_t kScrapes = 4;

}  // namespace

HealthServer::HealthServer(std::string address, std::uint16_t port, const Views& views)
    : server_({.name = "--http-address, --http-port",
               .address = std::move(address),
               .port = port,
               .connections = kConnections}) {
  const auto say = [](const std::function<std::string()>& what) {
    return what ? what() : std::string();
  };
  const auto probe = [say](const std::function<std::string()>& fault,
                           const std::function<std::string()>& remark) {
    return [=](const HttpRequest&) {
      if (const std::string reason = say(fault); !reason.empty()) {
        return HttpResponse{reason + "\n", 503};
      }
      const std::string text = say(remark);
      return HttpResponse{text.empty() ? "OK\n" : "OK: " + text + "\n"};
    };
  };
  using enum HttpServer::Method;
  server_.Handle(kGet, "/healthz", probe(views.not_alive, nullptr));
  server_.Handle(kGet, "/health", probe(views.not_alive, nullptr));
  server_.Handle(kGet, "/readyz", probe(views.not_ready, views.remark));
  server_.Handle(
      kGet, "/metrics",
      [metrics = views.metrics](const HttpRequest&) {
        return HttpResponse{metrics(), 200, "text/plain; version=0.0.4; charset=utf-8"};
      },
      HttpServer::Limit{.at_most = kScrapes});
}

}  // namespace contour::admin
