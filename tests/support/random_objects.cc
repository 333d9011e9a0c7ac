// SPDX-License-Identifier: Apache-2.0

#include "tests/support/random_objects.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "api/endpoint_slice.h"
#include "api/endpoints.h"
#include "api/ingress.h"
#include "api/ingress_class.h"
#include "api/ingress_route.h"
#include "api/secret.h"
#include "api/service.h"
#include "api/tls_certificate_delegation.h"

namespace contour::testing {
namespace {

using Names = std::vector<std::string>;

const Names kRoutes = {"root", "child", "grandchild", "other", "loop"};
const Names kPaths = {"/",       "/foo",    "/foo/", "/foo/bar",  "/foobar",
                      "/blog.*", "/blog.*", "/a?b",  "/[unclosed"};
const Names kDurations = {"5s", "infinity", "0s", "", "-1s", "peanut"};

// The annotations of both prefixes that a kind reads, each with values that it takes and refuses.
struct AnnotationValues {
  const char* name;
  Names values;
};
const std::vector<AnnotationValues> kIngressAnnotations = {
    {"request-timeout", kDurations},
    {"response-timeout", kDurations},
    {"retry-on", {"5xx", "", "gateway-error"}},
    {"num-retries", {"3", "-1", "x"}},
    {"per-try-timeout", kDurations},
    {"tls-minimum-protocol-version", {"1.1", "1.2", "1.3", "9"}},
    {"websocket-routes", {"/", "/foo, /foo/bar"}},
    {"tls-cert-namespace", {"default", "marketing", ""}},
};
const std::vector<AnnotationValues> kServiceAnnotations = {
    {"max-connections", {"1", "0", "-7", "x", "99999999999"}},
    {"max-requests", {"7", "-7"}},
    {"upstream-protocol.tls", {"80", "http, 8080"}},
    {"upstream-protocol.h2", {"80", "admin"}},
    {"upstream-protocol.h2c", {"http", "8080"}},
};

// Making keys is slow, and which ones they are doesn't matter.
const std::vector<Pair>& Pairs() {
  static const std::vector<Pair> pairs = {MakePair("one.example"), MakePair("two.example")};
  return pairs;
}

}  // namespace

// The names and settings of objects.
struct RandomWorld::Words {
  Names namespaces;
  Names services;
  Names secrets;
  Names hosts;
  Names check_paths;
  std::vector<std::pair<std::int64_t, std::int64_t>> thresholds;
  std::vector<std::pair<std::string, std::string>> validations;  // Secret and subject
};

const RandomWorld::Words& RandomWorld::WordsOf(Vocabulary vocabulary) {
  static const Words usual = {
      .namespaces = {"default", "marketing", "roots"},
      .services = {"kuard", "blog", "shop", "outside"},
      .secrets = {"tls", "wildcard", "ca"},
      .hosts = {"foo.com", "Foo.com", "bar.com", "*.bar.com", "", "bar.com", ".bar.com",
                "bar.com:*", "example.*.com", "*.com", "*", "*.a.bar.com", "b.a.bar.com",
                "*.b.a.bar.com", "_.bar.com"},
      .check_paths = {"/healthz", "/healthz", "/healthz", "/healthz", "/healthz", ""},
      .thresholds = {{0, 0}},
      .validations = {
          {"ca", "example.com"}, {"ca", "example.com"}, {"ca", "example.com"}, {"ca", ""}}};
  // The clusters of the second Service of the two long namespaces have one plain name, and so have
  // the two long Secrets of each.
  static const std::string secret = "wildcard-certificate-of-the-marketing-department-number-";
  static const Words meeting = {
      .namespaces = {"default", "payments-team-production-eu-west",
                     "payments-team-of-somebody-else-x"},
      .services = {"web", "checkout-0027b472"},
      .secrets = {"ca", "cax", secret + "2911", secret + "5308"},
      .hosts = {"foo.com", "bar.com", "*.bar.com", std::string(60, 'a') + ".example",
                std::string(60, 'b') + ".example", std::string(60, 'c')},
      .check_paths = {"/", "/tcp", "/caxsub.test"},
      .thresholds = {{0, 0}, {1, 23}, {12, 3}},
      .validations = {{"ca", "xsub.test"}, {"cax", "sub.test"}}};
  return vocabulary == Vocabulary::kUsual ? usual : meeting;
}

RandomWorld::RandomWorld(std::uint64_t seed, Vocabulary vocabulary)
    : random_(seed), words_(WordsOf(vocabulary)) {}

int RandomWorld::Pick(int count) {
  // Not uniform_int_distribution, whose results differ between libraries: a seed must mean the same
  // everywhere.
  return static_cast<int>(random_() % static_cast<std::uint64_t>(count));
}

std::string RandomWorld::Namespace() { return PickOf(words_.namespaces); }
std::string RandomWorld::Host() { return PickOf(words_.hosts); }

std::string RandomWorld::SecretReference() {
  const std::string& name = PickOf(words_.secrets);
  return Chance(30) ? Namespace() + "/" + name : name;
}

namespace {

void Sort(api::Meta& meta) {
  auto& annotations = meta.annotations;
  std::sort(annotations.begin(), annotations.end());
  annotations.erase(std::unique(annotations.begin(), annotations.end(),
                                [](const auto& a, const auto& b) { return a.first == b.first; }),
                    annotations.end());
}

}  // namespace

template <typename Rows>
void RandomWorld::Annotate(const Rows& rows, int percent, api::Meta& meta) {
  for (const auto& row : rows) {
    if (!Chance(percent)) continue;
    const std::string prefix = Chance(70) ? "contour.heptio.com/" : "projectcontour.io/";
    meta.annotations.emplace_back(prefix + row.name, PickOf(row.values));
  }
}

std::shared_ptr<api::Object> RandomWorld::MakeService() {
  auto service = std::make_shared<api::Service>();
  service->meta.name = PickOf(words_.services);
  service->spec.ports.push_back({Chance(50) ? "http" : "", 80, "TCP"});
  if (Chance(40)) service->spec.ports.push_back({"admin", 8080, Chance(20) ? "UDP" : "TCP"});
  if (Chance(15)) {
    service->spec.type = "ExternalName";
    service->spec.external_name = Chance(30) ? "localhost" : "example.com";
  }
  Annotate(kServiceAnnotations, 12, service->meta);
  Sort(service->meta);
  return service;
}

std::shared_ptr<api::Object> RandomWorld::MakeSecret() {
  auto secret = std::make_shared<api::Secret>();
  secret->meta.name = PickOf(words_.secrets);
  const Pair& pair = PickOf(Pairs());
  if (Chance(70)) {
    secret->type = "kubernetes.io/tls";
    secret->tls_crt = pair.certificate;
    secret->tls_key = Chance(20) ? PickOf(Pairs()).key : pair.key;  // sometimes of the other one
    if (Chance(10)) secret->tls_key = "garbage";
  } else {
    secret->type = "Opaque";
    secret->ca_crt = Chance(80) ? pair.certificate : "garbage";
  }
  return secret;
}

std::shared_ptr<api::Object> RandomWorld::MakeIngress() {
  auto ingress = std::make_shared<api::Ingress>();
  ingress->meta.name = Chance(50) ? "one" : "two";
  const auto backend = [&] {
    api::IngressBackend made;
    made.service = PickOf(words_.services);
    if (Chance(30)) {
      made.port_name = Chance(50) ? "http" : "80";
    } else {
      made.port_number = Chance(80) ? 80 : 8080;
    }
    return made;
  };
  if (Chance(30)) ingress->spec.default_backend = backend();
  for (int rules = Pick(3); rules > 0; --rules) {
    api::IngressRule rule{Host(), std::nullopt};
    if (Chance(90)) {
      rule.http.emplace();
      for (int paths = 1 + Pick(2); paths > 0; --paths) {
        rule.http->push_back({PickOf(kPaths), static_cast<api::PathType>(Pick(3)), backend()});
      }
    }
    ingress->spec.rules.push_back(std::move(rule));
  }
  if (Chance(40)) ingress->spec.tls.push_back({{Host(), Host()}, SecretReference()});
  if (Chance(30)) ingress->spec.ingress_class_name = Chance(60) ? "contour" : "public";
  if (Chance(15))
    ingress->meta.annotations.emplace_back("ingress.kubernetes.io/force-ssl-redirect", "true");
  if (Chance(15))
    ingress->meta.annotations.emplace_back("kubernetes.io/ingress.allow-http", "false");
  if (Chance(15)) {
    ingress->meta.annotations.emplace_back("kubernetes.io/ingress.class",
                                           Chance(50) ? "contour" : "linkerd");
  }
  Annotate(kIngressAnnotations, 8, ingress->meta);
  Sort(ingress->meta);
  return ingress;
}

std::shared_ptr<api::Object> RandomWorld::MakeIngressClass() {
  auto made = std::make_shared<api::IngressClass>();
  made->meta.name = Chance(50) ? "contour" : "public";
  made->controller = Chance(70) ? "projectcontour.io/ingress-controller" : "example.com/other";
  return made;
}

std::shared_ptr<api::Object> RandomWorld::MakeIngressRoute() {
  auto route = std::make_shared<api::IngressRoute>();
  route->meta.name = PickOf(kRoutes);
  api::IngressRouteSpec& spec = route->spec;
  const auto service = [&] {
    api::IngressRouteService made;
    made.name = PickOf(words_.services);
    made.port = Chance(90) ? 80 : PickOf(std::vector<int>{8080, 0, 70000});
    made.weight = Chance(95) ? Pick(3) : -1;
    if (Chance(20)) made.strategy = Chance(50) ? "Cookie" : "lulz";
    if (Chance(10)) {
      const auto& [secret, subject] = PickOf(words_.validations);
      made.validation = api::IngressRouteUpstreamValidation{secret, subject};
    }
    if (Chance(10)) {
      const auto& [unhealthy, healthy] = PickOf(words_.thresholds);
      made.health_check = api::IngressRouteHealthCheck{.path = PickOf(words_.check_paths),
                                                       .host = Chance(30) ? "h.example" : "",
                                                       .unhealthy_threshold_count = unhealthy,
                                                       .healthy_threshold_count = healthy};
      if (Chance(30)) made.health_check->interval_seconds = Pick(3) - 1;
    }
    return made;
  };
  const auto delegate = [&] {
    return api::IngressRouteDelegate{PickOf(kRoutes), Chance(50) ? Namespace() : ""};
  };
  if (Chance(45)) {
    spec.virtualhost = api::IngressRouteVirtualHost{Host(), std::nullopt};
    if (Chance(35)) {
      spec.virtualhost->tls = api::IngressRouteTLS{Chance(80) ? SecretReference() : "",
                                                   Chance(30) ? "1.3" : "", Chance(30)};
    }
  }
  if (Chance(90)) {
    spec.routes.emplace();
    for (int routes = Pick(4); routes > 0; --routes) {
      api::IngressRouteRoute made;
      made.match = PickOf(kPaths);
      if (Chance(60)) {
        for (int services = 1 + Pick(2); services > 0; --services)
          made.services.push_back(service());
      }
      if (made.services.empty() || Chance(5)) made.delegate = delegate();
      made.enable_websockets = Chance(10);
      made.permit_insecure = Chance(20);
      if (Chance(10)) made.timeout_request = PickOf(kDurations);
      if (Chance(10))
        made.retry_policy = api::IngressRouteRetryPolicy{Pick(4) - 1, PickOf(kDurations)};
      if (Chance(15)) made.prefix_rewrite = Chance(80) ? "/rewritten" : "/bad\nrewrite";
      spec.routes->push_back(std::move(made));
    }
  }
  if (Chance(20)) {
    spec.tcpproxy.emplace();
    if (Chance(60)) {
      spec.tcpproxy->services.push_back(service());
    } else {
      spec.tcpproxy->delegate = delegate();
    }
  }
  if (Chance(8)) {
    route->meta.annotations.emplace_back(
        Chance(50) ? "contour.heptio.com/ingress.class" : "kubernetes.io/ingress.class",
        Chance(80) ? "linkerd" : "contour");
  }
  return route;
}

std::shared_ptr<api::Object> RandomWorld::MakeDelegation() {
  auto made = std::make_shared<api::TLSCertificateDelegation>();
  made->meta.name = Chance(50) ? "one" : "two";
  for (int entries = 1 + Pick(2); entries > 0; --entries) {
    api::CertificateDelegation entry{PickOf(words_.secrets), {}};
    if (Chance(30)) {
      entry.target_namespaces = {"*"};
    } else {
      for (int targets = Pick(3); targets > 0; --targets)
        entry.target_namespaces.push_back(Namespace());
    }
    made->delegations.push_back(std::move(entry));
  }
  return made;
}

std::shared_ptr<api::Object> RandomWorld::MakeEndpointSlice() {
  auto slice = std::make_shared<api::EndpointSlice>();
  slice->meta.name = Chance(50) ? "one" : "two";
  slice->service_name = PickOf(words_.services);
  slice->address_type = "IPv4";
  slice->ports.push_back({Chance(50) ? "http" : "", 8080, "TCP"});
  for (int endpoints = Pick(4); endpoints > 0; --endpoints) {
    api::Endpoint endpoint;
    endpoint.addresses.push_back("10.0.0." + std::to_string(1 + Pick(5)));
    if (Chance(40)) endpoint.ready = Chance(50);
    if (Chance(20)) endpoint.serving = true;
    if (Chance(20)) endpoint.terminating = true;
    slice->endpoints.push_back(std::move(endpoint));
  }
  return slice;
}

std::shared_ptr<api::Object> RandomWorld::MakeEndpoints() {
  auto endpoints = std::make_shared<api::Endpoints>();
  endpoints->meta.name = PickOf(words_.services);
  for (int subsets = Pick(3); subsets > 0; --subsets) {
    api::EndpointSubset subset;
    for (int addresses = Pick(3); addresses > 0; --addresses)
      subset.addresses.push_back("10.0.1." + std::to_string(1 + Pick(5)));
    subset.ports.push_back({Chance(50) ? "http" : "", 8080 + Pick(2), "TCP"});
    endpoints->subsets.push_back(std::move(subset));
  }
  return endpoints;
}

api::Change RandomWorld::Step() {
  if (!objects_.empty() && Chance(20)) {
    auto victim = objects_.begin();
    std::advance(victim, Pick(static_cast<int>(objects_.size())));
    const api::ObjectRef ref = victim->first;
    objects_.erase(victim);
    return {ref, nullptr};
  }
  std::shared_ptr<api::Object> made;
  const int kind = Pick(100);
  if (kind < 20) {
    made = MakeService();
  } else if (kind < 35) {
    made = MakeSecret();
  } else if (kind < 50) {
    made = MakeIngress();
  } else if (kind < 55) {
    made = MakeIngressClass();
  } else if (kind < 80) {
    made = MakeIngressRoute();
  } else if (kind < 88) {
    made = MakeDelegation();
  } else if (kind < 97) {
    made = MakeEndpointSlice();
  } else {
    made = MakeEndpoints();
  }
  if (made->kind != api::Kind::kIngressClass) made->meta.ns = Namespace();
  made->meta.resource_version = std::to_string(++version_);
  made->meta.creation_time = 1 + Pick(3);
  // An edit doesn't change when an object was made; a recreation may, also one whose deletion went
  // by unseen.
  if (const auto known = objects_.find(made->Ref()); known != objects_.end()) {
    if (!Chance(5)) made->meta.creation_time = known->second->meta.creation_time;
    if (Chance(20)) {
      // A status-only update, or one of a field that we don't read.
      if (const auto* route = api::As<api::IngressRoute>(*known->second)) {
        auto clone = std::make_shared<api::IngressRoute>(*route);
        clone->status = {"valid", "valid IngressRoute"};
        clone->meta.resource_version = std::to_string(version_);
        made = clone;
      }
    }
  }
  objects_[made->Ref()] = made;
  return {made->Ref(), made};
}

std::vector<api::Change> RandomWorld::Shuffled() {
  std::vector<api::Change> changes;
  changes.reserve(objects_.size());
  for (const auto& [ref, object] : objects_) changes.push_back({ref, object});
  for (std::size_t i = changes.size(); i > 1; --i) {
    std::swap(changes[i - 1], changes[static_cast<std::size_t>(Pick(static_cast<int>(i)))]);
  }
  return changes;
}

}  // namespace contour::testing
