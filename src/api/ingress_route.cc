// SPDX-License-Identifier: Apache-2.0

#include "api/ingress_route.h"

#include "api/json_reader.h"
#include "api/kinds.h"

namespace contour::api {
namespace {

void ReadVirtualHost(JsonReader& reader, IngressRouteVirtualHost* host) {
  reader.String("fqdn", &host->fqdn);
  reader.Object("tls", [&] {
    IngressRouteTLS& tls = host->tls.emplace();
    reader.String("secretName", &tls.secret_name);
    reader.String("minimumProtocolVersion", &tls.minimum_protocol_version);
    reader.Bool("passthrough", &tls.passthrough);
  });
}

void ReadService(JsonReader& reader, IngressRouteService* service) {
  reader.String("name", &service->name);
  reader.Int("port", &service->port);
  reader.Int("weight", &service->weight);
  reader.String("strategy", &service->strategy);
  reader.Object("healthCheck", [&] {
    IngressRouteHealthCheck& check = service->health_check.emplace();
    reader.String("path", &check.path);
    reader.String("host", &check.host);
    reader.Int("intervalSeconds", &check.interval_seconds);
    reader.Int("timeoutSeconds", &check.timeout_seconds);
    reader.Int("unhealthyThresholdCount", &check.unhealthy_threshold_count);
    reader.Int("healthyThresholdCount", &check.healthy_threshold_count);
  });
  reader.Object("validation", [&] {
    IngressRouteUpstreamValidation& validation = service->validation.emplace();
    reader.String("caSecret", &validation.ca_secret);
    reader.String("subjectName", &validation.subject_name);
  });
}

// Reads `services` and `delegate`, which both routes and TCP proxies have.
template <typename Target>
void ReadTarget(JsonReader& reader, Target* target) {
  reader.Each("services", &target->services,
              [&](IngressRouteService& service) { ReadService(reader, &service); });
  reader.Object("delegate", [&] {
    IngressRouteDelegate& delegate = target->delegate.emplace();
    reader.String("name", &delegate.name);
    reader.String("namespace", &delegate.ns);
  });
}

void ReadRoute(JsonReader& reader, IngressRouteRoute* route) {
  reader.String("match", &route->match);
  ReadTarget(reader, route);
  reader.Bool("enableWebsockets", &route->enable_websockets);
  reader.Bool("permitInsecure", &route->permit_insecure);
  reader.String("prefixRewrite", &route->prefix_rewrite);
  reader.Object("timeoutPolicy",
                [&] { reader.String("request", &route->timeout_request.emplace()); });
  reader.Object("retryPolicy", [&] {
    IngressRouteRetryPolicy& retry = route->retry_policy.emplace();
    reader.Int("count", &retry.count);
    reader.String("perTryTimeout", &retry.per_try_timeout);
  });
}

}  // namespace

void Read(JsonReader& reader, IngressRoute* object) {
  IngressRouteSpec& spec = object->spec;
  reader.Object("spec", [&] {
    reader.Object("virtualhost", [&] { ReadVirtualHost(reader, &spec.virtualhost.emplace()); });
    reader.Each("routes", &spec.routes,
                [&](IngressRouteRoute& route) { ReadRoute(reader, &route); });
    reader.Object("tcpproxy", [&] { ReadTarget(reader, &spec.tcpproxy.emplace()); });
  });
  reader.Object("status", [&] {
    reader.String("currentStatus", &object->status.current_status);
    reader.String("description", &object->status.description);
  });
}

bool SameSpec(const IngressRoute& a, const IngressRoute& b) { return a.spec == b.spec; }
bool SameStatus(const IngressRoute& a, const IngressRoute& b) { return a.status == b.status; }

}  // namespace contour::api
