// SPDX-License-Identifier: Apache-2.0
// What IngressRoute means: roots, delegation, TLS, TCP proxies, and the status of each object on
// the way.
//
// The walk of a root goes depth first along its routes. An error stops the object in which it was
// found, at that route; routes before it stay, and the objects above go on. The first status found
// for an object wins.

#include "api/ingress_route.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/status.h"
#include "base/strings.h"
#include "graph/annotations.h"
#include "graph/derive.h"
#include "graph/policy/health_check.h"
#include "graph/policy/retry.h"
#include "graph/policy/timeout.h"
#include "graph/service.h"

namespace contour::graph {
namespace {

using Route = api::IngressRouteRoute;
using Chain = std::vector<const api::IngressRoute*>;  // from the root to the object at hand

// Shared children can multiply along a chain; a virtual host of more routes than this is a mistake
// or an attack.
constexpr int kMaxVisitedRoutes = 100'000;

// Is `path` below `prefix`, by whole segments. An empty prefix contains all, an empty path is in
// none.
bool PathContains(std::string_view prefix, std::string_view path) {
  if (prefix.empty()) return true;
  if (path.empty()) return false;
  const auto with_slash = [](std::string_view text) {
    return text.ends_with('/') ? std::string(text) : std::string(text) + '/';
  };
  return with_slash(path).starts_with(with_slash(prefix));
}

std::string FullName(const api::IngressRoute& object) {
  return object.meta.ns + "/" + object.meta.name;
}

class RootWalk {
 public:
  RootWalk(const api::IngressRoute& root, Derivation& derivation)
      : root_(root),
        derivation_(derivation),
        fqdn_(std::string(Trim(root.spec.virtualhost->fqdn))),
        order_{root.meta.creation_time, root.meta.ns, root.meta.name} {}

  // Refuses the root as a whole.
  void Refuse(std::string description, bool with_vhost) {
    Invalid(root_, std::move(description), with_vhost);
  }

  void Run() {
    if (fqdn_.empty()) return Refuse("Spec.VirtualHost.Fqdn must be specified", false);
    if (fqdn_.find('*') != std::string::npos) {
      return Refuse(fmt::format("Spec.VirtualHost.Fqdn {} cannot use wildcards", Quote(fqdn_)),
                    true);
    }
    if (!IsHeaderValue(fqdn_)) {
      return Refuse(fmt::format("Spec.VirtualHost.Fqdn {} is not a valid host name", Quote(fqdn_)),
                    true);
    }
    bool passthrough = false;
    if (root_.spec.virtualhost->tls) {
      const api::IngressRouteTLS& tls = *root_.spec.virtualhost->tls;
      passthrough = tls.passthrough && tls.secret_name.empty();
      if (!passthrough) DeriveTLS(tls);
    }
    if (root_.spec.tcpproxy && (passthrough || enforce_tls_)) {
      // What an Ingress may have secured the host with must not end a connection that is to be
      // passed through.
      if (passthrough)
        derivation_.builder.SetSecure(nullptr, derivation_.options.minimum_tls_version);
      WalkTCP({&root_});
    } else if (root_.spec.routes) {
      WalkRoutes({&root_}, "");
    } else if (root_.spec.tcpproxy) {
      Invalid(root_,
              "tcpproxy: requires spec.virtualhost.tls with a secretName or with passthrough");
    } else {
      NothingDefined(root_);
    }
  }

 private:
  void SetStatus(const api::IngressRoute& object, Status status) {
    std::vector<StatusContribution>& statuses = derivation_.result.statuses;
    const api::ObjectRef ref = object.Ref();
    const bool known = std::any_of(statuses.begin(), statuses.end(),
                                   [&](const StatusContribution& s) { return s.object == ref; });
    if (!known) statuses.push_back({ref, order_, std::move(status)});
  }
  void Invalid(const api::IngressRoute& object, std::string description, bool with_vhost = true) {
    SetStatus(object, {"invalid", std::move(description), with_vhost ? fqdn_ : ""});
  }
  void NothingDefined(const api::IngressRoute& object) {
    Invalid(object, "IngressRoute.Spec must have at least one Route or a TCPProxy");
  }
  void Valid(const api::IngressRoute& object) {
    SetStatus(object, {"valid", "valid IngressRoute", fqdn_});
  }

  // A secret that can't be used makes the root invalid, and it is served without TLS.
  void DeriveTLS(const api::IngressRouteTLS& tls) {
    const SecretName name = SplitSecretName(tls.secret_name, root_.meta.ns);
    const CheckedSecret* secret = derivation_.reader.FindSecret(name.ns, name.name);
    if (secret == nullptr || !secret->serving.ok()) {
      Invalid(root_, fmt::format("TLS Secret [{}] not found or is malformed", tls.secret_name),
              false);
      if (secret != nullptr) {
        derivation_.result.problems.push_back(
            {root_.Ref(), fmt::format("spec.virtualhost.tls.secretName: Secret {}/{}: {}", name.ns,
                                      name.name, Message(secret->serving.status()))});
      }
      return;
    }
    if (!derivation_.reader.DelegationPermits(name.ns, name.name, root_.meta.ns)) {
      Invalid(root_,
              fmt::format("TLS Secret [{}]: certificate delegation not permitted", tls.secret_name),
              false);
      return;
    }
    enforce_tls_ = true;
    derivation_.builder.SetSecure(
        *secret->serving, MinimumTLSVersion(tls.minimum_protocol_version, derivation_.options));
  }

  // True if `target` may be walked from the end of the chain; a cycle is noted on that end.
  bool MayDelegate(const Chain& chain, const api::IngressRoute& target, std::string_view what) {
    if (std::find(chain.begin(), chain.end(), &target) == chain.end()) return true;
    std::string path;
    for (const api::IngressRoute* object : chain) path += FullName(*object) + " -> ";
    Invalid(*chain.back(),
            fmt::format("{} creates a delegation cycle: {}{}", what, path, FullName(target)));
    return false;
  }

  const api::IngressRoute* FindTarget(const api::IngressRoute& from,
                                      const api::IngressRouteDelegate& delegate) {
    return derivation_.reader.FindIngressRoute(delegate.ns.empty() ? from.meta.ns : delegate.ns,
                                               delegate.name);
  }

  // Adds the routes of the chain's last object; all must lie below `prefix`.
  void WalkRoutes(const Chain& chain, const std::string& prefix) {
    const api::IngressRoute& object = *chain.back();
    if (!object.spec.routes && !object.spec.tcpproxy) return NothingDefined(object);
    if (object.spec.routes) {
      for (const Route& route : *object.spec.routes) {
        if (!WalkRoute(chain, prefix, route)) return;
      }
    }
    Valid(object);
  }

  // False if an error stops the object.
  bool WalkRoute(const Chain& chain, const std::string& prefix, const Route& route) {
    const api::IngressRoute& object = *chain.back();
    if (++visited_routes_ > kMaxVisitedRoutes) {
      Invalid(object, fmt::format("more than {} routes under one virtual host", kMaxVisitedRoutes));
      return false;
    }
    const std::string match = Quote(route.match);
    if (!route.services.empty() && route.delegate) {
      Invalid(
          object,
          fmt::format("route {}: cannot specify services and delegate in the same route", match));
      return false;
    }
    if (route.services.size() > 1 && route.enable_websockets) {
      Invalid(
          object,
          fmt::format("route {}: cannot specify multiple services and enable websockets", match));
      return false;
    }
    if (route.services.empty() && !route.delegate) return true;
    if (!PathContains(prefix, route.match)) {
      Invalid(object, fmt::format("the path prefix {} does not match the parent's path prefix {}",
                                  match, Quote(prefix)));
      return false;
    }
    if (!route.services.empty()) return AddRoute(object, route);

    const api::IngressRoute* target = FindTarget(object, *route.delegate);
    if (target == nullptr) return true;  // it may come; until then the rest is served
    if (!MayDelegate(chain, *target, "route")) return false;
    Chain longer = chain;
    longer.push_back(target);
    WalkRoutes(longer, route.match);
    return true;
  }

  bool AddRoute(const api::IngressRoute& object, const Route& route) {
    const std::string match = Quote(route.match);
    if (!IsHeaderValue(route.prefix_rewrite)) {
      Invalid(object, fmt::format("route {}: prefixRewrite {} is not a valid path", match,
                                  Quote(route.prefix_rewrite)));
      return false;
    }
    RouteAction action;
    bool unverified = false;
    for (const api::IngressRouteService& service : route.services) {
      const std::string where = fmt::format("route {}: service {}", match, Quote(service.name));
      if (service.port < 1 || service.port > 65535) {
        Invalid(object, where + ": port must be in the range 1-65535");
        return false;
      }
      if (!CheckWeight(object, service, where)) return false;
      absl::StatusOr<Cluster> cluster = Lookup(object, service, Use::kHTTP);
      if (!cluster.ok()) {
        Invalid(object,
                fmt::format("Service [{}:{}] is invalid or missing", service.name, service.port),
                false);
        return false;
      }
      if (cluster->protocol == Protocol::kTLS && service.validation) {
        cluster->validation = Validation(object, *service.validation, where);
        unverified = unverified || !cluster->validation;
      }
      action.clusters.push_back({std::make_shared<const Cluster>(*std::move(cluster)),
                                 static_cast<std::uint32_t>(service.weight)});
    }
    action.timeout = route.timeout_request ? ParseTimeout(*route.timeout_request) : std::nullopt;
    action.retry = RouteRetry(route.retry_policy);
    action.prefix_rewrite = route.prefix_rewrite;
    action.websocket = route.enable_websockets;

    graph::Route made{{PathMatch::Type::kPrefix, route.match}, false, std::move(action)};
    // Traffic never reaches an upstream that could not be verified, nor falls through to a shorter
    // prefix.
    if (unverified) made.action = DirectResponse{503};
    derivation_.builder.SetHTTPSRoute(made);
    const bool insecure = route.permit_insecure && !derivation_.options.disable_permit_insecure;
    made.https_redirect = enforce_tls_ && !insecure;
    derivation_.builder.SetHTTPRoute(std::move(made));
    return true;
  }

  bool CheckWeight(const api::IngressRoute& object, const api::IngressRouteService& service,
                   const std::string& where) {
    if (service.weight < 0) {
      Invalid(object, where + ": weight must be greater than or equal to zero");
      return false;
    }
    // Envoy sums the weights of a route in 32 bits.
    if (service.weight > 1'000'000) {
      Invalid(object, where + ": weight must be less than or equal to 1000000");
      return false;
    }
    return true;
  }

  absl::StatusOr<Cluster> Lookup(const api::IngressRoute& object,
                                 const api::IngressRouteService& service, Use use) {
    absl::StatusOr<Cluster> cluster =
        LookupService(derivation_.reader, derivation_.options, object.meta.ns, service.name,
                      {service.port, ""}, use);
    if (cluster.ok()) {
      cluster->strategy = service.strategy;
      cluster->health_check = ParseHealthCheck(service.health_check);
      // A check that Envoy would refuse must not take the route with it.
      if (cluster->health_check &&
          (cluster->health_check->path.empty() || !IsHeaderValue(cluster->health_check->path) ||
           !IsHeaderValue(cluster->health_check->host))) {
        cluster->health_check.reset();
        derivation_.result.problems.push_back(
            {object.Ref(),
             fmt::format("service {}: healthCheck.path must be a path; the service is not checked",
                         Quote(service.name))});
      }
    }
    return cluster;
  }

  std::optional<UpstreamValidation> Validation(const api::IngressRoute& object,
                                               const api::IngressRouteUpstreamValidation& spec,
                                               const std::string& where) {
    const CheckedSecret* secret = derivation_.reader.FindSecret(object.meta.ns, spec.ca_secret);
    if (secret == nullptr || !secret->ca_certificate.ok()) {
      Invalid(object,
              where + ": upstreamValidation requested but secret not found or misconfigured");
      return std::nullopt;
    }
    if (spec.subject_name.empty()) {
      Invalid(
          object,
          where + ": upstreamValidation requested but subject alt name not found or misconfigured");
      return std::nullopt;
    }
    return UpstreamValidation{spec.ca_secret, *secret->ca_certificate, spec.subject_name};
  }

  void WalkTCP(const Chain& chain) {
    const api::IngressRoute& object = *chain.back();
    if (!object.spec.tcpproxy) {
      return Invalid(object, "tcpproxy: delegated to, but spec.tcpproxy is missing");
    }
    const api::IngressRouteTCPProxy& spec = *object.spec.tcpproxy;
    if (!spec.services.empty() && spec.delegate) {
      return Invalid(object, "tcpproxy: cannot specify services and delegate in the same tcpproxy");
    }
    if (!spec.services.empty()) return SetTCPProxy(object, spec);
    if (!spec.delegate) return Invalid(object, "tcpproxy: must have services or a delegate");
    const api::IngressRoute* target = FindTarget(object, *spec.delegate);
    if (target != nullptr) {
      if (!MayDelegate(chain, *target, "tcpproxy")) return;
      Chain longer = chain;
      longer.push_back(target);
      WalkTCP(longer);
    }
    Valid(object);
  }

  void SetTCPProxy(const api::IngressRoute& object, const api::IngressRouteTCPProxy& spec) {
    TCPProxy proxy;
    for (const api::IngressRouteService& service : spec.services) {
      if (!CheckWeight(object, service, fmt::format("tcpproxy: service {}", Quote(service.name))))
        return;
      absl::StatusOr<Cluster> cluster = Lookup(object, service, Use::kTCP);
      if (!cluster.ok()) {
        return Invalid(object, fmt::format("tcpproxy: service {}/{}/{}: not found", object.meta.ns,
                                           service.name, service.port));
      }
      proxy.clusters.push_back({std::make_shared<const Cluster>(*std::move(cluster)),
                                static_cast<std::uint32_t>(service.weight)});
    }
    derivation_.builder.SetTCPProxy(std::move(proxy));
    Valid(object);
  }

  const api::IngressRoute& root_;
  Derivation& derivation_;
  std::string fqdn_;
  RootOrder order_;
  bool enforce_tls_ = false;  // the root's own certificate is in use: plain HTTP redirects
  int visited_routes_ = 0;
};

bool NamespacePermitted(const api::IngressRoute& root, const Options& options) {
  const std::vector<std::string>& permitted = options.root_namespaces;
  return permitted.empty() ||
         std::find(permitted.begin(), permitted.end(), root.meta.ns) != permitted.end();
}

}  // namespace

void DeriveIngressRoutes(const std::vector<const api::IngressRoute*>& roots,
                         Derivation& derivation) {
  std::vector<const api::IngressRoute*> legal;
  for (const api::IngressRoute* root : roots) {
    if (NamespacePermitted(*root, derivation.options)) {
      legal.push_back(root);
    } else {
      RootWalk(*root, derivation)
          .Refuse("root IngressRoute cannot be defined in this namespace", false);
    }
  }
  if (legal.size() == 1) return RootWalk(*legal[0], derivation).Run();

  std::vector<std::string> names;
  for (const api::IngressRoute* root : legal) names.push_back(FullName(*root));
  std::sort(names.begin(), names.end());
  for (const api::IngressRoute* root : legal) {
    RootWalk(*root, derivation)
        .Refuse(fmt::format("fqdn {} is used in multiple IngressRoutes: {}",
                            Quote(Trim(root->spec.virtualhost->fqdn)), fmt::join(names, ", ")),
                true);
  }
}

}  // namespace contour::graph
