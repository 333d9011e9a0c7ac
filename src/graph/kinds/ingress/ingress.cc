// SPDX-License-Identifier: Apache-2.0

#include "graph/kinds/ingress/ingress.h"

#include <re2/re2.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "api/ingress.h"
#include "api/ingress_class.h"
#include "base/status.h"
#include "base/strings.h"
#include "graph/engine/reader.h"
#include "graph/kinds/ingress/contour_annotations.h"
#include "graph/kinds/ingress/ingress_class.h"
#include "graph/model/cluster.h"
#include "graph/model/listener.h"
#include "graph/model/match.h"
#include "graph/model/route.h"
#include "graph/policy/backend.h"
#include "graph/policy/delegation.h"
#include "graph/policy/retry.h"
#include "graph/policy/secret.h"
#include "graph/policy/syntax.h"

namespace contour::graph::ingress {
namespace {

// Host names are compared without case, as DNS and Envoy do. "" is "any host".
std::string HostName(std::string_view host) { return host.empty() ? "*" : LowerCase(host); }

// The bigger the program, the longer each byte of each request's path can take and the more memory
// Envoy needs for it, so there is a limit. Envoy's own, above which it NACKs the whole route
// configuration, is raised by the bootstrap (re2.max_program_size.error_level).
constexpr int kMaxRegexProgramSize = 2000;

class IngressDerivation {
 public:
  IngressDerivation(const api::Ingress& ingress, const HostPart& part, Derivation& derivation)
      : ingress_(ingress), part_(part), derivation_(derivation), host_(derivation.builder.host()) {}

  bool HasOurClass() const {
    const std::optional<std::string> name = NamedClass(ingress_);
    return IsOurs(ingress_, name ? derivation_.reader.Find<api::IngressClass>("", *name) : nullptr,
                  derivation_.options);
  }

  // True if the host can be served: "*", a name, or a wildcard as first label.
  bool HasGoodHost() {
    std::string_view name = host_;
    if (name == "*") return true;
    if (name.starts_with("*.")) name.remove_prefix(2);
    if (IsHostName(name)) return true;
    AddProblem("spec", fmt::format("host {} is not a valid host name", Quote(host_)));
    return false;
  }

  void DeriveTLS() {
    if (part_.tls.empty()) return;
    const std::string block = fmt::format("spec.tls[host {}]", Quote(host_));
    if (host_ == "*") return AddProblem(block, "any host can't be served over TLS");
    if (derivation_.builder.HasSecret(kHTTPSListener)) return;  // of an older Ingress
    for (const std::uint32_t index : part_.tls) {
      const std::string& written = ingress_.spec.tls[index].secret_name;
      const SecretName name = SplitSecretName(written, TLSNamespace(ingress_.meta));
      const std::string field =
          fmt::format("{}.secretName: Secret {}/{}", block, name.ns, name.name);
      const auto* secret = derivation_.reader.FindChecked<CheckedSecret>(name.ns, name.name);
      if (written.empty()) {
        AddProblem(block + ".secretName", "is empty");
      } else if (secret == nullptr) {
        AddProblem(field, derivation_.options.IsUnread(api::Kind::kSecret)
                              ? "Secrets are not read"
                              : "not found, or not of type kubernetes.io/tls");
      } else if (!DelegationPermits(derivation_.reader, name.ns, name.name, ingress_.meta.ns)) {
        AddProblem(field, derivation_.options.IsUnread(api::Kind::kTLSCertificateDelegation)
                              ? "TLSCertificateDelegations are not read"
                              : "certificate delegation not permitted");
      } else if (!secret->serving.ok()) {
        AddProblem(field, Message(secret->serving.status()));
      } else {
        derivation_.builder.SetSecure(kHTTPSListener, *secret->serving,
                                      MinimumTLSVersionOf(ingress_.meta, derivation_.options),
                                      MaximumTLSVersionOf(ingress_.meta));
      }
    }
  }

  void DeriveRules() {
    // The later of two equal paths of one Ingress wins, so they are collected before they go to the
    // builder. The default backend is for requests that no rule takes, so it goes first.
    std::vector<Route> routes;
    if (host_ == "*" && ingress_.spec.default_backend) {
      AddRoute({.path = "/", .backend = *ingress_.spec.default_backend}, "spec.defaultBackend",
               routes);
    }
    for (const std::uint32_t index : part_.rules) {
      for (const api::IngressPath& path : *ingress_.spec.rules[index].http) {
        AddRoute(path, fmt::format("spec.rules[host {}].paths[{}]", Quote(host_), Quote(path.path)),
                 routes);
      }
    }
    const bool redirect = ForceSSLRedirect(ingress_.meta);
    const bool http = redirect || AllowHTTP(ingress_.meta);
    const bool https = host_ != "*" && derivation_.builder.HasSecret(kHTTPSListener);
    for (auto route = routes.rbegin(); route != routes.rend(); ++route) {
      if (https) derivation_.builder.AddRoute(kHTTPSListener, *route);
      if (!http) continue;
      route->https_redirect = redirect;
      derivation_.builder.AddRoute(kHTTPListener, std::move(*route));
    }
  }

 private:
  // The policies that the annotations ask for; they are read when the first route is made.
  struct Policies {
    RoutePolicies of_all;
    std::set<std::string, std::less<>> websocket_paths;
  };

  void AddProblem(std::string_view text) {
    derivation_.result.problems.push_back({ingress_.Ref(), std::string(text)});
  }
  void AddProblem(std::string_view field, std::string_view text) {
    AddProblem(fmt::format("{}: {}", field, text));
  }

  const Policies& ReadPolicies() {
    if (!policies_) {
      const std::vector<std::string> websockets = WebsocketRoutes(ingress_.meta);
      policies_.emplace();
      policies_->websocket_paths = {websockets.begin(), websockets.end()};
      RoutePolicies& of_all = policies_->of_all;
      of_all.timeout = RequestTimeout(ingress_.meta);
      if (const std::optional<RetrySpec> spec = RetrySpecOf(ingress_.meta)) {
        absl::StatusOr<Retry> retry = ParseRetry(*spec);
        if (retry.ok()) {
          of_all.retry = *std::move(retry);
        } else {
          AddProblem(Message(retry.status()));
        }
      }
    }
    return *policies_;
  }

  // Returns nullopt if Envoy could not take it; the problem is noted.
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
          AddProblem(field, "can match no request: it contains ? or #");
          return std::nullopt;
        }
        if (!text.starts_with('/')) {
          AddProblem(field, "must begin with /");
          return std::nullopt;
        }
        return PathMatch{Type::kSegmentPrefix, text};
      case api::PathType::kImplementationSpecific:
        break;
    }
    if (text.find_first_of("^+*[]%") == std::string::npos) return PathMatch{Type::kPrefix, text};
    // No request's path contains one, and in its escaped form it may mean something else.
    if (HasControlCharacter(text)) {
      AddProblem(field, "contains a control character; in an expression it is written like \\x01");
      return std::nullopt;
    }
    // Envoy's engine takes bytes: \x{100} is an error there.
    re2::RE2::Options options(re2::RE2::Quiet);
    options.set_encoding(re2::RE2::Options::EncodingLatin1);
    const re2::RE2 regex(text, options);
    if (!regex.ok()) {
      AddProblem(field, fmt::format("is no valid RE2 expression: {}", regex.error()));
      return std::nullopt;
    }
    if (regex.ProgramSize() > kMaxRegexProgramSize) {
      AddProblem(field, fmt::format("is too big an expression: its program has {} instructions, "
                                    "at most {} are taken",
                                    regex.ProgramSize(), kMaxRegexProgramSize));
      return std::nullopt;
    }
    return PathMatch{Type::kRegex, text};
  }

  void AddRoute(const api::IngressPath& path, const std::string& field,
                std::vector<Route>& routes) {
    if (path.backend.service.empty()) {
      return AddProblem(field, "backend: only `service` backends are supported");
    }
    const std::optional<PathMatch> match = Match(path, field);
    if (!match) return;
    absl::StatusOr<Cluster> cluster =
        LookupBackend({ingress_.meta.ns,
                       path.backend.service,
                       {path.backend.port_number, path.backend.port_name}},
                      derivation_.reader, derivation_.options);
    if (!cluster.ok()) return AddProblem(field, Message(cluster.status()));
    const Policies& policies = ReadPolicies();
    RouteAction action;
    action.clusters.push_back({derivation_.builder.Share(*std::move(cluster)), 0});
    action.policies = policies.of_all;
    action.policies.websocket =
        policies.websocket_paths.contains(path.path.empty() ? std::string_view("/") : path.path);
    routes.push_back({{*match}, false, std::move(action)});
  }

  const api::Ingress& ingress_;
  const HostPart& part_;
  Derivation& derivation_;
  const std::string& host_;
  std::optional<Policies> policies_;
};

}  // namespace

HostParts Claims(const api::Object& object) {
  const api::IngressSpec& spec = api::As<api::Ingress>(object)->spec;
  HostParts hosts;
  if (spec.default_backend) hosts["*"];
  for (std::uint32_t i = 0; i < spec.rules.size(); ++i) {
    const api::IngressRule& rule = spec.rules[i];
    if (rule.http) hosts[HostName(rule.host)].rules.push_back(i);
  }
  for (std::uint32_t i = 0; i < spec.tls.size(); ++i) {
    for (const std::string& host : spec.tls[i].hosts) {
      std::vector<std::uint32_t>& tls = hosts[HostName(host)].tls;
      if (tls.empty() || tls.back() != i) tls.push_back(i);
    }
  }
  return hosts;
}

bool IsSameRoot(const api::Object& before, const api::Object& now) {
  return before.meta.annotations == now.meta.annotations &&
         before.meta.creation_time == now.meta.creation_time &&
         api::As<api::Ingress>(before)->spec.ingress_class_name ==
             api::As<api::Ingress>(now)->spec.ingress_class_name;
}

bool IsSamePart(const api::Object& before, const HostPart& part_before, const api::Object& now,
                const HostPart& part_now, std::string_view host) {
  const api::IngressSpec& a = api::As<api::Ingress>(before)->spec;
  const api::IngressSpec& b = api::As<api::Ingress>(now)->spec;
  if (host == "*" && a.default_backend != b.default_backend) return false;
  const auto same_rule = [&](std::uint32_t i, std::uint32_t j) { return a.rules[i] == b.rules[j]; };
  const auto same_tls = [&](std::uint32_t i, std::uint32_t j) {
    return a.tls[i].secret_name == b.tls[j].secret_name;
  };
  return std::equal(part_before.rules.begin(), part_before.rules.end(), part_now.rules.begin(),
                    part_now.rules.end(), same_rule) &&
         std::equal(part_before.tls.begin(), part_before.tls.end(), part_now.tls.begin(),
                    part_now.tls.end(), same_tls);
}

void Derive(const std::vector<Claim>& claims, Derivation& derivation) {
  std::vector<IngressDerivation> ours;
  for (const Claim& claim : claims) {
    const auto* ingress = api::As<api::Ingress>(claim.object);
    if (ingress == nullptr) continue;
    IngressDerivation one(*ingress, *claim.part, derivation);
    if (one.HasOurClass() && one.HasGoodHost()) ours.push_back(std::move(one));
  }
  // A certificate of any of them secures the routes of all.
  for (IngressDerivation& ingress : ours) ingress.DeriveTLS();
  for (IngressDerivation& ingress : ours) ingress.DeriveRules();
}

}  // namespace contour::graph::ingress
