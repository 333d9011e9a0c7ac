// SPDX-License-Identifier: Apache-2.0

#include "graph/kinds/ingressroute/ingress_route.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "api/ingress_route.h"
#include "base/status.h"
#include "base/strings.h"
#include "graph/engine/reader.h"
#include "graph/kinds/ingressroute/status.h"
#include "graph/model/cluster.h"
#include "graph/model/host.h"
#include "graph/model/listener.h"
#include "graph/model/match.h"
#include "graph/model/route.h"
#include "graph/model/status.h"
#include "graph/policy/backend.h"
#include "graph/policy/delegation.h"
#include "graph/policy/health_check.h"
#include "graph/policy/load_balancing.h"
#include "graph/policy/retry.h"
#include "graph/policy/rewrite.h"
#include "graph/policy/secret.h"
#include "graph/policy/syntax.h"
#include "graph/policy/timeout.h"
#include "graph/policy/tls_version.h"
#include "graph/policy/upstream_tls.h"
#include "graph/policy/weights.h"

namespace contour::graph::ingressroute {
namespace {

using Route = api::IngressRouteRoute;
// The IngressRoutes for which a status is set. Within one derivation an object has one address.
using Settled = std::unordered_set<const api::IngressRoute*>;

// Shared children can multiply along a chain; a virtual host of more routes than this is a mistake
// or an attack.
constexpr int kMaxVisitedRoutes = 100'000;

// True if `path` is below `prefix`, by whole segments. An empty prefix contains all paths, and no
// prefix but that contains an empty path.
bool PathContains(std::string_view prefix, std::string_view path) {
  if (prefix.empty()) return true;
  if (prefix.ends_with('/')) prefix.remove_suffix(1);
  if (path.empty() || !path.starts_with(prefix)) return false;
  return path.size() == prefix.size() ? !path.ends_with('/') : path[prefix.size()] == '/';
}

std::string FullName(const api::IngressRoute& object) {
  return object.meta.ns + "/" + object.meta.name;
}

class RootWalk {
 public:
  RootWalk(const api::IngressRoute& root, Derivation& derivation, Settled& settled)
      : root_(root),
        derivation_(derivation),
        settled_(settled),
        fqdn_(std::string(Trim(root.spec.virtualhost->fqdn))),
        order_(std::make_shared<const RootOrder>(
            RootOrder{true, root.meta.creation_time, root.meta.ns, root.meta.name})) {}

  // Two of the ways to refuse the root as a whole.
  void RefuseNamespace() { Refuse("root IngressRoute cannot be defined in this namespace", false); }
  void RefuseConflict(const std::vector<std::string>& names) {
    Refuse(fmt::format("fqdn {} is used in multiple IngressRoutes: {}", Quote(fqdn_),
                       fmt::join(names, ", ")),
           true);
  }

  void Run() {
    if (fqdn_.empty()) return Refuse("Spec.VirtualHost.Fqdn must be specified", false);
    if (fqdn_.find('*') != std::string::npos) {
      return Refuse(fmt::format("Spec.VirtualHost.Fqdn {} cannot use wildcards", Quote(fqdn_)),
                    true);
    }
    if (!IsHostName(derivation_.builder.host())) {
      return Refuse(fmt::format("Spec.VirtualHost.Fqdn {} is not a valid host name", Quote(fqdn_)),
                    true);
    }
    if (root_.spec.virtualhost->tls) {
      const api::IngressRouteTLS& tls = *root_.spec.virtualhost->tls;
      passthrough_ = tls.passthrough && Trim(tls.secret_name).empty();
      if (!passthrough_) DeriveTLS(tls);
    }
    if (root_.spec.tcpproxy && (passthrough_ || enforce_tls_)) {
      WalkTCP();
    } else if (root_.spec.routes) {
      WalkRoutes();
    } else if (root_.spec.tcpproxy) {
      Invalid(root_,
              "tcpproxy: requires spec.virtualhost.tls with a secretName or with passthrough");
    } else {
      NothingDefined(root_);
    }
  }

 private:
  // An object on the way from the root to the one at hand.
  struct Frame {
    const api::IngressRoute* object;
    std::string_view prefix;  // all its routes must lie below
    std::size_t next = 0;     // its next route
  };
  enum class Step : std::uint8_t {
    kNext,     // go on with the next route
    kStop,     // an error stops the object
    kDescend,  // the delegate is on the path now
  };

  void SetStatus(const api::IngressRoute& object, StatusEntryPtr status) {
    if (settled_.insert(&object).second) {
      derivation_.result.statuses.push_back({object.Ref(), order_, std::move(status)});
    }
  }
  enum class Because : std::uint8_t { kWritten, kMissing };
  void Invalid(const api::IngressRoute& object, std::string description, bool with_vhost = true,
               Because because = Because::kWritten) {
    SetStatus(object, MakeEntry("invalid", std::move(description), with_vhost ? fqdn_ : "",
                                because == Because::kMissing));
  }
  // Sets a status for an object that depends on a kind which the configuration leaves out.
  void Unknown(const api::IngressRoute& object, std::string description) {
    SetStatus(object, MakeEntry("unknown", std::move(description), fqdn_));
  }
  // An error of a root as such comes before an error that a walk from elsewhere finds in it.
  void Refuse(std::string description, bool with_vhost) {
    order_ = std::make_shared<const RootOrder>(
        RootOrder{false, order_->creation_time, order_->ns, order_->name});
    Invalid(root_, std::move(description), with_vhost);
  }
  void NothingDefined(const api::IngressRoute& object) {
    Invalid(object, "IngressRoute.Spec must have at least one Route or a TCPProxy");
  }
  void Valid(const api::IngressRoute& object) {
    if (valid_ == nullptr) valid_ = MakeEntry("valid", "valid IngressRoute", fqdn_);
    SetStatus(object, valid_);
  }
  void AddProblem(const api::IngressRoute& object, std::string text) {
    derivation_.result.problems.push_back({object.Ref(), std::move(text)});
  }

  // A secret that can't be used makes the root invalid, and it is served without TLS.
  void DeriveTLS(const api::IngressRouteTLS& tls) {
    const SecretName name = SplitSecretName(tls.secret_name, root_.meta.ns);
    const auto* secret = derivation_.reader.FindChecked<CheckedSecret>(name.ns, name.name);
    // The status says what is wrong with the Secret only if the namespace may use it.
    const bool permitted = DelegationPermits(derivation_.reader, name.ns, name.name, root_.meta.ns);
    if (secret == nullptr && derivation_.options.IsUnread(api::Kind::kSecret)) {
      return Unknown(root_, fmt::format("TLS Secret [{}]: Secrets are not read", tls.secret_name));
    }
    if (secret == nullptr || !secret->serving.ok()) {
      Invalid(root_, fmt::format("TLS Secret [{}] not found or is malformed", tls.secret_name),
              false, secret == nullptr ? Because::kMissing : Because::kWritten);
      if (secret != nullptr && permitted) {
        AddProblem(root_, fmt::format("spec.virtualhost.tls.secretName: Secret {}/{}: {}", name.ns,
                                      name.name, Message(secret->serving.status())));
      }
      return;
    }
    if (!permitted && derivation_.options.IsUnread(api::Kind::kTLSCertificateDelegation)) {
      return Unknown(root_, fmt::format("TLS Secret [{}]: TLSCertificateDelegations are not read",
                                        tls.secret_name));
    }
    if (!permitted) {
      return Invalid(
          root_,
          fmt::format("TLS Secret [{}]: certificate delegation not permitted", tls.secret_name),
          false, Because::kMissing);
    }
    enforce_tls_ = true;
    derivation_.builder.SetSecure(
        kHTTPSListener, *secret->serving,
        MinimumTLSVersion({tls.minimum_protocol_version, "minimumProtocolVersion"},
                          derivation_.options));
  }

  void Push(const api::IngressRoute& object, std::string_view prefix) {
    path_.push_back({&object, prefix});
    on_path_.insert(&object);
  }
  void Pop() {
    on_path_.erase(path_.back().object);
    path_.pop_back();
  }

  // True if `target` is on the path already; then the object at the path's end becomes invalid.
  bool ClosesCycle(const api::IngressRoute& target, std::string_view what) {
    if (!on_path_.contains(&target)) return false;
    std::string names;
    for (const Frame& frame : path_) names += FullName(*frame.object) + " -> ";
    Invalid(*path_.back().object,
            fmt::format("{} creates a delegation cycle: {}{}", what, names, FullName(target)));
    return true;
  }

  const api::IngressRoute* FindTarget(const api::IngressRoute& from,
                                      const api::IngressRouteDelegate& delegate) {
    return derivation_.reader.Find<api::IngressRoute>(
        delegate.ns.empty() ? from.meta.ns : delegate.ns, delegate.name);
  }

  // The stack is `path_`, not the thread's: a chain may be as long as there are objects.
  void WalkRoutes() {
    Push(root_, "");
    while (!path_.empty()) {
      Frame& frame = path_.back();
      const api::IngressRoute& object = *frame.object;
      if (!object.spec.routes && !object.spec.tcpproxy) {
        NothingDefined(object);
        Pop();
      } else if (!object.spec.routes || frame.next == object.spec.routes->size()) {
        Valid(object);
        Pop();
      } else if (WalkRoute(frame) == Step::kStop) {
        Pop();
      }
    }
  }

  Step WalkRoute(Frame& frame) {
    const api::IngressRoute& object = *frame.object;
    const Route& route = (*object.spec.routes)[frame.next++];
    if (++visited_routes_ > kMaxVisitedRoutes) {
      Invalid(object, fmt::format("more than {} routes under one virtual host", kMaxVisitedRoutes));
      return Step::kStop;
    }
    if (!route.services.empty() && route.delegate) {
      Invalid(object,
              fmt::format("route {}: cannot specify services and delegate in the same route",
                          Quote(route.match)));
      return Step::kStop;
    }
    if (route.services.size() > 1 && route.enable_websockets) {
      Invalid(object,
              fmt::format("route {}: cannot specify multiple services and enable websockets",
                          Quote(route.match)));
      return Step::kStop;
    }
    if (route.services.empty() && !route.delegate) return Step::kNext;
    if (!PathContains(frame.prefix, route.match)) {
      Invalid(object, fmt::format("the path prefix {} does not match the parent's path prefix {}",
                                  Quote(route.match), Quote(frame.prefix)));
      return Step::kStop;
    }
    if (!route.services.empty()) return AddRoute(object, route) ? Step::kNext : Step::kStop;

    const api::IngressRoute* target = FindTarget(object, *route.delegate);
    if (target == nullptr) return Step::kNext;  // it may come; until then the rest is served
    if (ClosesCycle(*target, "route")) return Step::kStop;
    Push(*target, route.match);
    return Step::kDescend;
  }

  // Takes the value of a policy. False if it is an error, which stops the object.
  template <typename T>
  bool Take(const api::IngressRoute& object, const Route& route, absl::StatusOr<T> policy,
            T& into) {
    if (!policy.ok()) {
      Invalid(object, fmt::format("route {}: {}", Quote(route.match), Message(policy.status())));
      return false;
    }
    into = *std::move(policy);
    return true;
  }

  // Reads the policies of a route. False if an error stops the object.
  bool ReadPolicies(const api::IngressRoute& object, const Route& route, RoutePolicies& policies) {
    // A typo must not cut long responses: a text that is no duration means infinite.
    if (route.timeout_request) {
      policies.timeout = ParseTimeout({*route.timeout_request, "timeoutPolicy.request"})
                             .value_or(Timeout{.infinite = true});
    }
    if (route.retry_policy) policies.retry = RetryOf(*route.retry_policy);
    policies.websocket = route.enable_websockets;
    return Take(object, route, ParsePrefixRewrite({route.prefix_rewrite, "prefixRewrite"}),
                policies.prefix_rewrite);
  }

  // Reads a route. Returns false if an error stops the object.
  bool AddRoute(const api::IngressRoute& object, const Route& route) {
    const std::string match = Quote(route.match);
    RouteAction action;
    if (!ReadPolicies(object, route, action.policies)) return false;
    bool unverified = false;
    for (const api::IngressRouteService& service : route.services) {
      const std::string where = fmt::format("route {}: service {}", match, Quote(service.name));
      if (service.port < 1 || service.port > 65535) {
        Invalid(object, where + ": port must be in the range 1-65535");
        return false;
      }
      const std::optional<std::uint32_t> weight = Weight(object, service, where);
      if (!weight) return false;
      absl::StatusOr<Cluster> cluster = Lookup(object, service, Use::kHTTP);
      if (!cluster.ok()) {
        Invalid(object,
                fmt::format("Service [{}:{}] is invalid or missing", service.name, service.port),
                false, BecauseOf(cluster.status()));
        ExplainLookup(object, where, cluster.status());
        return false;
      }
      if (service.validation && cluster->protocol == Protocol::kTLS) {
        cluster->validation = Validation(object, *service.validation, where);
        unverified = unverified || !cluster->validation;
      } else if (service.validation) {
        AddProblem(object, where +
                               ": validation has no effect, since the Service's "
                               "upstream-protocol is not tls");
      }
      action.clusters.push_back({derivation_.builder.Share(*std::move(cluster)), *weight});
    }

    graph::Route made{{{PathMatch::Type::kPrefix, route.match}}, false, std::move(action)};
    // Traffic never reaches an upstream that could not be verified, nor falls through to a shorter
    // prefix.
    if (unverified) made.action = DirectResponse{503};
    derivation_.builder.SetRoute(kHTTPSListener, made);
    const bool insecure = route.permit_insecure && !derivation_.options.disable_permit_insecure;
    made.https_redirect = enforce_tls_ && !insecure;
    derivation_.builder.SetRoute(kHTTPListener, std::move(made));
    return true;
  }

  static Because BecauseOf(const absl::Status& status) {
    return absl::IsNotFound(status) ? Because::kMissing : Because::kWritten;
  }

  // The status says only that the object can't be used; where it exists, this says why.
  void ExplainLookup(const api::IngressRoute& object, const std::string& where,
                     const absl::Status& status) {
    if (!absl::IsNotFound(status))
      AddProblem(object, fmt::format("{}: {}", where, Message(status)));
  }

  // Retries on 5xx, the default of RetrySpec, which Envoy takes.
  static Retry RetryOf(const api::IngressRouteRetryPolicy& policy) {
    return *ParseRetry(
        {.count = policy.count, .per_try_timeout = policy.per_try_timeout, .field = "retryPolicy"});
  }

  // Returns nullopt if it is refused, and the object invalid.
  std::optional<std::uint32_t> Weight(const api::IngressRoute& object,
                                      const api::IngressRouteService& service,
                                      const std::string& where) {
    const absl::StatusOr<std::uint32_t> weight = ParseWeight({service.weight, "weight"});
    if (weight.ok()) return *weight;
    Invalid(object, fmt::format("{}: {}", where, Message(weight.status())));
    return std::nullopt;
  }

  static HealthCheckSpec HealthCheckSpecOf(const api::IngressRouteHealthCheck& check) {
    return {.path = check.path,
            .host = check.host,
            .interval_seconds = check.interval_seconds,
            .timeout_seconds = check.timeout_seconds,
            .unhealthy_threshold = check.unhealthy_threshold_count,
            .healthy_threshold = check.healthy_threshold_count,
            .field = "healthCheck"};
  }

  absl::StatusOr<Cluster> Lookup(const api::IngressRoute& object,
                                 const api::IngressRouteService& service, Use use) {
    absl::StatusOr<Cluster> cluster =
        LookupBackend({object.meta.ns, service.name, {service.port, ""}, use}, derivation_.reader,
                      derivation_.options);
    if (!cluster.ok()) return cluster;
    cluster->load_balancing = ParseLoadBalancing({service.strategy});
    if (service.health_check) {
      absl::StatusOr<HealthCheck> check =
          ParseHealthCheck(HealthCheckSpecOf(*service.health_check));
      if (check.ok()) {
        cluster->health_check = *std::move(check);
      } else {  // one that Envoy would refuse must not take the route with it
        AddProblem(object,
                   fmt::format("service {}: {}", Quote(service.name), Message(check.status())));
      }
    }
    return cluster;
  }

  std::optional<UpstreamValidation> Validation(const api::IngressRoute& object,
                                               const api::IngressRouteUpstreamValidation& spec,
                                               const std::string& where) {
    absl::StatusOr<UpstreamValidation> validation =
        LookupUpstreamTLS({object.meta.ns, spec.ca_secret, spec.subject_name, "validation"},
                          derivation_.reader, derivation_.options);
    if (validation.ok()) return *std::move(validation);
    const absl::Status& status = validation.status();
    const std::string requested = where + ": upstreamValidation requested but ";
    if (absl::IsUnavailable(status)) {
      Unknown(object, requested + "Secrets are not read");
    } else if (absl::IsInvalidArgument(status)) {
      Invalid(object, requested + "subject alt name not found or misconfigured");
    } else {
      Invalid(object, requested + "secret not found or misconfigured", true, BecauseOf(status));
      ExplainLookup(object, where, status);
    }
    return std::nullopt;
  }

  // Follows the chain to the object that has services.
  void WalkTCP() {
    Push(root_, "");
    const api::IngressRoute* next = &root_;
    while (next != nullptr) {
      const api::IngressRoute& object = *next;
      next = nullptr;
      if (!object.spec.tcpproxy) {
        Invalid(object, "tcpproxy: delegated to, but spec.tcpproxy is missing");
        break;
      }
      const api::IngressRouteTCPProxy& spec = *object.spec.tcpproxy;
      if (!spec.services.empty() && spec.delegate) {
        Invalid(object, "tcpproxy: cannot specify services and delegate in the same tcpproxy");
      } else if (!spec.services.empty()) {
        SetTCPProxy(object, spec);
      } else if (!spec.delegate) {
        Invalid(object, "tcpproxy: must have services or a delegate");
      } else if (const auto* target = FindTarget(object, *spec.delegate);
                 target != nullptr && !ClosesCycle(*target, "tcpproxy")) {
        Push(*target, "");
        next = target;
      }
    }
    // A parent is valid whatever became of its delegate, and so is one whose delegate is missing.
    for (; !path_.empty(); Pop()) Valid(*path_.back().object);
  }

  void SetTCPProxy(const api::IngressRoute& object, const api::IngressRouteTCPProxy& spec) {
    TCPProxy proxy;
    for (const api::IngressRouteService& service : spec.services) {
      const std::string where = fmt::format("tcpproxy: service {}", Quote(service.name));
      const std::optional<std::uint32_t> weight = Weight(object, service, where);
      if (!weight) return;
      absl::StatusOr<Cluster> cluster = Lookup(object, service, Use::kTCP);
      if (!cluster.ok()) {
        Invalid(object,
                fmt::format("tcpproxy: service {}/{}/{}: not found", object.meta.ns, service.name,
                            service.port),
                true, BecauseOf(cluster.status()));
        return ExplainLookup(object, where, cluster.status());
      }
      proxy.clusters.push_back({derivation_.builder.Share(*std::move(cluster)), *weight});
    }
    derivation_.builder.SetTCPProxy(kHTTPSListener, std::move(proxy), passthrough_);
  }

  const api::IngressRoute& root_;
  Derivation& derivation_;
  Settled& settled_;
  std::string fqdn_;
  RootOrderPtr order_;
  StatusEntryPtr valid_;  // of all valid objects of this walk, once there is one
  bool passthrough_ = false;
  bool enforce_tls_ = false;  // the root's own certificate is in use: plain HTTP redirects
  int visited_routes_ = 0;
  std::vector<Frame> path_;
  std::unordered_set<const api::IngressRoute*> on_path_;
};

bool NamespacePermitted(const api::IngressRoute& root, const Options& options) {
  const std::vector<std::string>& permitted = options.root_namespaces;
  return permitted.empty() ||
         std::find(permitted.begin(), permitted.end(), root.meta.ns) != permitted.end();
}

}  // namespace

HostParts Claims(const api::Object& object) {
  HostParts hosts;
  const auto& virtual_host = api::As<api::IngressRoute>(object)->spec.virtualhost;
  if (virtual_host) hosts[LowerCase(Trim(virtual_host->fqdn))];
  return hosts;
}

void Derive(const std::vector<Claim>& claims, Derivation& derivation) {
  Settled settled;
  std::vector<const api::IngressRoute*> legal;
  for (const Claim& claim : claims) {
    const auto* root = api::As<api::IngressRoute>(claim.object);
    if (root == nullptr) continue;
    if (NamespacePermitted(*root, derivation.options)) {
      legal.push_back(root);
    } else {
      RootWalk(*root, derivation, settled).RefuseNamespace();
    }
  }
  if (legal.size() == 1) return RootWalk(*legal[0], derivation, settled).Run();

  std::vector<std::string> names;
  names.reserve(legal.size());
  for (const api::IngressRoute* root : legal) names.push_back(FullName(*root));
  std::sort(names.begin(), names.end());
  for (const api::IngressRoute* root : legal) {
    RootWalk(*root, derivation, settled).RefuseConflict(names);
  }
}

}  // namespace contour::graph::ingressroute
