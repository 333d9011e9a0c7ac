// SPDX-License-Identifier: Apache-2.0

#include "admin/health_server.h"

#include <utility>

namespace contour::admin {

HealthServer::HealthServer(std::string address, std::uint16_t port, const Views& views)
    : server_(
          {.name = "--http-address, --http-port", .address = std::move(address), .port = port}) {
  const auto probe = [](const std::function<std::string()>& fault) {
    return [fault](const HttpRequest&) {
      const std::string reason = fault ? fault() : std::string();
      return reason.empty() ? HttpResponse{"OK\n"} : HttpResponse{reason + "\n", 503};
    };
  };
  using enum HttpServer::Method;
  server_.Handle(kGet, "/healthz", probe(views.not_alive));
  server_.Handle(kGet, "/health", probe(views.not_alive));
  server_.Handle(kGet, "/readyz", probe(views.not_ready));
  server_.Handle(kGet, "/metrics", [metrics = views.metrics](const HttpRequest&) {
    return HttpResponse{metrics(), 200, "text/plain; version=0.0.4; charset=utf-8"};
  });
}

}  // namespace contour::admin
