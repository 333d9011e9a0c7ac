// SPDX-License-Identifier: Apache-2.0
// What Ingress means. Ties between Ingresses go to the older one; within one Ingress a later rule
// replaces an earlier.

#include "api/ingress.h"

#include <re2/re2.h>

#include <algorithm>
#include <map>
#include <memory>

#include "base/status.h"
#include "base/strings.h"
#include "graph/annotations.h"
#include "graph/derive.h"
#include "graph/policy/retry.h"
#include "graph/service.h"

namespace contour::graph {
namespace {

class IngressDerivation {
 public:
  IngressDerivation(const api::Ingress& ingress, Derivation& derivation)
      : ingress_(ingress), derivation_(derivation), host_(derivation.builder.host()) {}

  // Is it ours: by annotation (the store has judged that), else by class name; without any, it is.
  bool HasOurClass() const {
    if (ClassAnnotation(ingress_.meta) || !ingress_.spec.ingress_class_name) return true;
    const std::string& wanted = *ingress_.spec.ingress_class_name;
    const Options& options = derivation_.options;
    const api::IngressClass* object = derivation_.reader.FindIngressClass(wanted);
    if (object != nullptr && object->controller != kIngressController) return false;
    if (wanted == options.ingress_class.value_or(kDefaultIngressClass)) return true;
    return object != nullptr && !options.ingress_class;
  }

  void DeriveTLS() {
    for (std::size_t i = 0; i < ingress_.spec.tls.size(); ++i) {
      const api::IngressTLS& tls = ingress_.spec.tls[i];
      if (std::none_of(tls.hosts.begin(), tls.hosts.end(),
                       [&](const std::string& h) { return IsHost(h); }))
        continue;
      if (host_ == "*") {
        AddProblem(
            fmt::format("spec.tls[{}].hosts: an empty host or * can't be served over TLS", i));
        continue;
      }
      if (derivation_.builder.has_secret()) continue;
      const SecretName name = SplitSecretName(tls.secret_name, TLSNamespace());
      const std::string field =
          fmt::format("spec.tls[{}].secretName: Secret {}/{}", i, name.ns, name.name);
      const CheckedSecret* secret = derivation_.reader.FindSecret(name.ns, name.name);
      if (secret == nullptr) {
        AddProblem(fmt::format("{} not found", field));
      } else if (!secret->serving.ok()) {
        AddProblem(fmt::format("{}: {}", field, Message(secret->serving.status())));
      } else if (!derivation_.reader.DelegationPermits(name.ns, name.name, ingress_.meta.ns)) {
        AddProblem(fmt::format("{}: certificate delegation not permitted", field));
      } else {
        derivation_.builder.SetSecure(*secret->serving,
                                      MinimumTLSVersion(ingress_.meta, derivation_.options));
      }
    }
  }

  void DeriveRules() {
    // The later of two equal paths of one Ingress wins, so they are collected before they go to the
    // builder.
    std::vector<Route> routes;
    if (host_ == "*" && ingress_.spec.default_backend) {
      AddRoute({.path = "/", .backend = *ingress_.spec.default_backend}, "spec.defaultBackend",
               routes);
    }
    for (std::size_t i = 0; i < ingress_.spec.rules.size(); ++i) {
      const api::IngressRule& rule = ingress_.spec.rules[i];
      if (!rule.http || !IsHost(rule.host)) continue;
      for (std::size_t j = 0; j < rule.http->size(); ++j) {
        AddRoute((*rule.http)[j], fmt::format("spec.rules[{}].http.paths[{}]", i, j), routes);
      }
    }
    const bool redirect = ForceSSLRedirect(ingress_.meta);
    const bool http = redirect || AllowHTTP(ingress_.meta);
    const bool https = host_ != "*" && derivation_.builder.has_secret();
    for (auto route = routes.rbegin(); route != routes.rend(); ++route) {
      if (https) derivation_.builder.AddHTTPSRoute(*route);
      if (!http) continue;
      route->https_redirect = redirect;
      derivation_.builder.AddHTTPRoute(std::move(*route));
    }
  }

 private:
  bool IsHost(std::string_view written) const {
    if (written.empty()) return host_ == "*";
    return std::equal(
        written.begin(), written.end(), host_.begin(), host_.end(),
        [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; });
  }

  std::string TLSNamespace() const {
    const std::optional<Annotation> annotation =
        FindAnnotation(ingress_.meta, "tls-cert-namespace");
    return annotation && annotation->modern && !annotation->value.empty()
               ? std::string(annotation->value)
               : ingress_.meta.ns;
  }

  void AddProblem(std::string text) {
    derivation_.result.problems.push_back({ingress_.Ref(), std::move(text)});
  }

  // nullopt: Envoy could not take it; the problem is noted.
  std::optional<PathMatch> Match(const api::IngressPath& path, const std::string& field) {
    using Type = PathMatch::Type;
    std::string text = path.path.empty() ? "/" : path.path;
    switch (path.path_type) {
      case api::PathType::kExact:
        return PathMatch{Type::kExact, text};
      case api::PathType::kPrefix:
        while (text.size() > 1 && text.ends_with('/')) text.pop_back();
        if (text == "/") return PathMatch{Type::kPrefix, "/"};
        // Envoy's path_separated_prefix takes neither, and no path of a request contains them.
        if (text.find_first_of("?#") != std::string::npos) {
          AddProblem(fmt::format("{}.path: {} can match no request: it contains ? or #", field,
                                 Quote(text)));
          return std::nullopt;
        }
        if (!text.starts_with('/')) {
          AddProblem(fmt::format("{}.path: {} must begin with /", field, Quote(text)));
          return std::nullopt;
        }
        return PathMatch{Type::kSegmentPrefix, text};
      case api::PathType::kImplementationSpecific:
        break;
    }
    if (text.find_first_of("^+*[]%") == std::string::npos) return PathMatch{Type::kPrefix, text};
    const re2::RE2 regex(text, re2::RE2::Quiet);
    if (!regex.ok()) {
      AddProblem(fmt::format("{}.path: {} is no valid RE2 expression: {}", field, Quote(text),
                             regex.error()));
      return std::nullopt;
    }
    return PathMatch{Type::kRegex, text};
  }

  void AddRoute(const api::IngressPath& path, const std::string& field,
                std::vector<Route>& routes) {
    if (path.backend.service.empty()) {
      AddProblem(fmt::format("{}.backend: only `service` backends are supported", field));
      return;
    }
    const std::optional<PathMatch> match = Match(path, field);
    if (!match) return;
    const absl::StatusOr<Cluster> cluster = LookupService(
        derivation_.reader, derivation_.options, ingress_.meta.ns, path.backend.service,
        {path.backend.port_number, path.backend.port_name}, Use::kHTTP);
    if (!cluster.ok()) {
      AddProblem(fmt::format("{}.backend: {}", field, Message(cluster.status())));
      return;
    }
    RouteAction action;
    action.clusters.push_back({std::make_shared<const Cluster>(*cluster), 0});
    action.timeout = RequestTimeout(ingress_.meta);
    action.retry = IngressRetry(ingress_.meta);
    const std::vector<std::string> websockets = WebsocketRoutes(ingress_.meta);
    const std::string written = path.path.empty() ? "/" : path.path;
    action.websocket = std::find(websockets.begin(), websockets.end(), written) != websockets.end();
    if (action.retry && !IsHeaderValue(action.retry->retry_on)) action.retry.reset();
    routes.push_back({*match, false, std::move(action)});
  }

  const api::Ingress& ingress_;
  Derivation& derivation_;
  const std::string& host_;
};

}  // namespace

void DeriveIngresses(const std::vector<const api::Ingress*>& ingresses, Derivation& derivation) {
  std::vector<IngressDerivation> ours;
  for (const api::Ingress* ingress : ingresses) {
    if (IngressDerivation one(*ingress, derivation); one.HasOurClass()) ours.push_back(one);
  }
  // A certificate of any of them secures the routes of all.
  for (IngressDerivation& ingress : ours) ingress.DeriveTLS();
  for (IngressDerivation& ingress : ours) ingress.DeriveRules();
}

}  // namespace contour::graph
