// SPDX-License-Identifier: Apache-2.0
#include "envoy/route.h"

#include <google/protobuf/arena.h>

#include <algorithm>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "envoy/config/route/v3/route.pb.h"
#include "envoy/config/route/v3/scoped_route.pb.h"
#include "envoy/host_lookup.h"
#include "envoy/message.h"
#include "envoy/names.h"
#include "envoy/weights.h"

namespace contour::envoy {
namespace {

namespace core = ::envoy::config::core::v3;
namespace route = ::envoy::config::route::v3;

enum class Shape : std::uint8_t {
  kPart,   // of a route configuration of many hosts
  kScope,  // the one virtual host of a ScopedRouteConfiguration
};

// Returns the regex of `:authority` for the names that a wildcard host takes, empty for other
// hosts. Case and port are ignored, as Envoy ignores them in domains.
std::string WildcardGuard(std::string_view host) {
  return IsWildcardHost(host) ? "(?i)" + WildcardRegex(host) + "(:[^:]*)?" : "";
}

// Envoy's rule for `path_separated_prefix`; it refuses the whole route configuration otherwise.
bool IsSegmentPrefix(std::string_view path) {
  return path.size() >= 2 && path.back() != '/' &&
         path.find_first_of("?#") == std::string_view::npos;
}

// What the routes of a host ask for beside the path.
struct Guard {
  Shape shape = Shape::kPart;
  std::string authority;  // regex of `:authority`; empty: any
  std::string tls_host;   // value of kTLSHostKey; empty: any connection

  // True where look-up filters can lead to the host: each route tells them that it was found.
  bool looked_up = false;
};

// A part sees the authority itself, a scope the one that the look-up put aside.
void SetAuthority(const Guard& guard, route::RouteMatch* message) {
  if (guard.shape == Shape::kPart) {
    auto* header = message->add_headers();
    header->set_name(":authority");
    header->mutable_string_match()->mutable_safe_regex()->set_regex(guard.authority);
    return;
  }
  auto* metadata = message->add_dynamic_metadata();
  metadata->set_filter(std::string(kLookupFilter));
  metadata->add_path()->set_key("authority");
  metadata->mutable_value()->mutable_string_match()->mutable_safe_regex()->set_regex(
      guard.authority);
}

void SetGuard(const Guard& guard, route::RouteMatch* message) {
  if (!guard.authority.empty()) SetAuthority(guard, message);
  if (!guard.tls_host.empty()) {
    auto* state = message->add_filter_state();
    state->set_key(std::string(kTLSHostKey));
    state->mutable_string_match()->set_exact(guard.tls_host);
  }
}

google::protobuf::Value& Mark(std::string_view filter, const char* mark, route::Route* message) {
  google::protobuf::Struct& marks =
      (*message->mutable_metadata()->mutable_filter_metadata())[std::string(filter)];
  return (*marks.mutable_fields())[mark];
}

void SetMatch(const graph::PathMatch& match, const Guard& guard, route::RouteMatch* message) {
  using Type = graph::PathMatch::Type;
  std::string value = Text(match.value);
  switch (match.type) {
    case Type::kPrefix:
      message->set_prefix(std::move(value));
      break;
    case Type::kSegmentPrefix:
      // Below "/" lies every path. A prefix with a query takes no path in either form.
      if (IsSegmentPrefix(value)) {
        message->set_path_separated_prefix(std::move(value));
      } else {
        message->set_prefix(std::move(value));
      }
      break;
    case Type::kExact:
      message->set_path(std::move(value));
      break;
    case Type::kRegex:
      if (value.empty()) {
        message->set_path("");  // the same, and Envoy refuses an empty regex
      } else {
        message->mutable_safe_regex()->set_regex(std::move(value));
      }
      break;
  }
  SetGuard(guard, message);
}

void SetClusters(const std::vector<graph::WeightedCluster>& clusters, route::RouteAction* action,
                 std::vector<std::string>* used) {
  std::vector<Share> shares = Shares(clusters);
  for (const Share& share : shares) used->push_back(share.cluster);
  if (shares.size() == 1) {
    action->set_cluster(std::move(shares.front().cluster));
    return;
  }
  auto* weighted = action->mutable_weighted_clusters();
  for (Share& share : shares) {
    auto* cluster = weighted->add_clusters();
    cluster->set_name(std::move(share.cluster));
    cluster->mutable_weight()->set_value(share.weight);
  }
}

void SetRetry(const graph::Retry& retry, route::RouteAction* action) {
  if (retry.retry_on.empty()) return;
  auto* policy = action->mutable_retry_policy();
  policy->set_retry_on(Text(retry.retry_on));
  if (retry.count.value_or(0) > 0) policy->mutable_num_retries()->set_value(*retry.count);
  if (retry.per_try_timeout && retry.per_try_timeout->count() > 0)
    SetDuration(*retry.per_try_timeout, policy->mutable_per_try_timeout());
}

void SetAction(const graph::RouteAction& source, route::Route* message,
               std::vector<std::string>* used) {
  route::RouteAction* action = message->mutable_route();
  SetClusters(source.clusters, action, used);
  if (source.timeout) {
    // 0 is none. A negative time, which Envoy refuses, is one that can't be kept: none as well.
    SetDuration(source.timeout->infinite ? std::chrono::nanoseconds(0) : source.timeout->duration,
                action->mutable_timeout());
  }
  if (source.retry) SetRetry(*source.retry, action);
  if (!source.prefix_rewrite.empty()) action->set_prefix_rewrite(Text(source.prefix_rewrite));
  if (source.websocket) action->add_upgrade_configs()->set_upgrade_type("websocket");
  if (std::any_of(source.clusters.begin(), source.clusters.end(),
                  [](const auto& weighted) { return weighted.cluster->strategy == "Cookie"; })) {
    auto* cookie = action->add_hash_policy()->mutable_cookie();
    cookie->set_name("X-Contour-Session-Affinity");
    cookie->mutable_ttl();  // present and 0: as long as the browser's session
    cookie->set_path("/");
  }
  auto* header = message->add_request_headers_to_add();
  header->mutable_header()->set_key("x-request-start");
  header->mutable_header()->set_value("t=%START_TIME(%s.%3f)%");
  header->set_append_action(core::HeaderValueOption::APPEND_IF_EXISTS_OR_ADD);
}

void SetDirectResponse(const graph::DirectResponse& response, route::Route* message) {
  const bool possible = response.status >= 200 && response.status < 600;  // Envoy's limits
  message->mutable_direct_response()->set_status(possible ? response.status : 503);
}

void SetRoute(const graph::Route& source, const Guard& guard, route::Route* message,
              std::vector<std::string>* used) {
  SetMatch(source.match, guard, message->mutable_match());
  if (guard.looked_up) Mark(kLookupFilter, "found", message).set_string_value("route");
  if (source.https_redirect) {
    message->mutable_redirect()->set_https_redirect(true);
    return;
  }
  const auto* action = std::get_if<graph::RouteAction>(&source.action);
  if (action == nullptr) {
    SetDirectResponse(std::get<graph::DirectResponse>(source.action), message);
  } else if (action->clusters.empty()) {
    SetDirectResponse({}, message);
  } else {
    SetAction(*action, message, used);
    if (guard.looked_up && action->websocket)
      Mark(kUpgradeFilter, "pass", message).set_bool_value(true);
  }
}

// The last routes of a host that takes connections of its own filter chain only: without them a
// path that it doesn't serve would look like a misdirected request.
void AddMisdirected(Guard guard, route::VirtualHost* message) {
  for (const std::uint32_t status : {404U, 421U}) {
    route::Route* route = message->add_routes();
    route->mutable_match()->set_prefix("/");
    SetGuard(guard, route->mutable_match());
    route->mutable_direct_response()->set_status(status);
    if (guard.looked_up) Mark(kLookupFilter, "found", route).set_string_value("route");
    guard.tls_host.clear();
  }
}

void SetRoutes(const std::vector<graph::Route>& routes, const Guard& guard,
               route::VirtualHost* message, std::vector<std::string>* clusters) {
  for (const graph::Route& source : routes) {
    SetRoute(source, guard, message->add_routes(), clusters);
  }
  std::sort(clusters->begin(), clusters->end());
  clusters->erase(std::unique(clusters->begin(), clusters->end()), clusters->end());
  clusters->shrink_to_fit();  // it is kept for each host
}

// Switches the filter `name`, which is off otherwise, on for requests of this route.
void SwitchOn(std::string_view name, route::Route* message) {
  route::FilterConfig on;
  on.mutable_config();  // present and empty: no configuration of its own
  Pack(on, &(*message->mutable_typed_per_filter_config())[std::string(name)]);
}

// The last route of a wildcard host in the classic shape, for names that the host doesn't take:
// filters of the listener look for the host "*". Where the listener has none, the answer is 404. A
// route without a cluster would not do, since Envoy refuses an upgrade there before it runs
// filters.
void AddFallThrough(const Guard& guard, route::VirtualHost* message) {
  route::Route* route = message->add_routes();
  route->mutable_match()->set_prefix("");
  SetAuthority(guard, route->mutable_match());
  route->mutable_match()->mutable_headers(0)->set_invert_match(true);
  auto* action = route->mutable_route();
  action->set_cluster(std::string(kNoCluster));
  action->set_cluster_not_found_response_code(route::RouteAction::NOT_FOUND);
  action->add_upgrade_configs()->set_upgrade_type("websocket");
  SwitchOn(kLookupFilter, route);
  SwitchOn(kUpgradeFilter, route);
}

// The last routes of a scope. Whoever is found by its host is answered here, whatever the path. A
// wildcard's scope is also found by an authority like the wildcard itself, which is no name that it
// takes: that is looked up as if it had not been found.
void AddScopeEnd(Guard guard, route::VirtualHost* message) {
  guard.tls_host.clear();
  route::Route* known = message->add_routes();
  known->mutable_match()->set_prefix("");
  SetGuard(guard, known->mutable_match());
  known->mutable_direct_response()->set_status(404);
  Mark(kLookupFilter, "found", known).set_string_value("nothing");
  Mark(kUpgradeFilter, "pass", known).set_bool_value(true);
  if (guard.authority.empty()) return;
  route::Route* other = message->add_routes();
  other->mutable_match()->set_prefix("");
  other->mutable_direct_response()->set_status(404);
  SwitchOn(kLookupFilter, other);
}

std::optional<Resource> Translate(const std::string& host, const std::vector<graph::Route>& routes,
                                  bool https, std::string tls_host) {
  if (host.empty() || routes.empty()) return std::nullopt;
  Resource result;
  google::protobuf::Arena arena;
  auto& message = *google::protobuf::Arena::CreateMessage<route::VirtualHost>(&arena);
  result.name = VirtualHostName(host);
  message.set_name(result.name);
  const std::string domain = Text(host);
  message.add_domains(domain);
  if (domain != "*") message.add_domains(domain + ":*");
  const Guard guard{Shape::kPart, WildcardGuard(domain), std::move(tls_host), domain == "*"};
  SetRoutes(routes, guard, &message, &result.clusters);
  if (!guard.tls_host.empty()) AddMisdirected(guard, &message);
  // HTTPS has no host "*".
  if (!https && !guard.authority.empty()) AddFallThrough(guard, &message);
  result.bytes = Serialize(message);
  return result;
}

// The second fragment of the key of HTTPS; see SetScopedRDS in listener.cc.
constexpr const char* kHTTPSKey = "https";

// The routes of one host as a resource of their own.
std::optional<Resource> TranslateScope(const std::string& host,
                                       const std::vector<graph::Route>& routes, bool https,
                                       std::string tls_host) {
  if (host.empty() || routes.empty()) return std::nullopt;
  Resource result;
  google::protobuf::Arena arena;
  auto& message = *google::protobuf::Arena::CreateMessage<route::ScopedRouteConfiguration>(&arena);
  result.name = https ? HTTPSScopeName(host) : VirtualHostName(host);
  message.set_name(result.name);
  message.mutable_key()->add_fragments()->set_string_key(Text(host));
  if (https) message.mutable_key()->add_fragments()->set_string_key(kHTTPSKey);
  auto* configuration = message.mutable_route_configuration();
  configuration->set_name(std::string(https ? kIngressHTTPS : kIngressHTTP));
  // As of a route configuration that is fetched: a route may be there before its cluster.
  configuration->mutable_validate_clusters()->set_value(false);
  auto* virtual_host = configuration->add_virtual_hosts();
  virtual_host->set_name(VirtualHostName(host));
  virtual_host->add_domains("*");  // the scope has been found by the host
  const Guard guard{Shape::kScope, WildcardGuard(Text(host)), std::move(tls_host), true};
  SetRoutes(routes, guard, virtual_host, &result.clusters);
  if (!guard.tls_host.empty()) AddMisdirected(guard, virtual_host);
  AddScopeEnd(guard, virtual_host);
  route::FilterConfig found;
  found.set_disabled(true);
  Pack(found, &(*virtual_host->mutable_typed_per_filter_config())[std::string(kLookupFilter)]);
  result.bytes = Serialize(message);
  return result;
}

}  // namespace

VirtualHostResources TranslateVirtualHost(const graph::VirtualHost& host,
                                          const ListenerOptions& options) {
  VirtualHostResources result;
  result.http = ShardsHTTP(options.delivery)
                    ? TranslateScope(host.host, host.http_routes, false, "")
                    : Translate(host.host, host.http_routes, false, "");
  // A TCP proxy takes the whole connection, and without a certificate nothing can be read of it.
  if (!host.secure || host.secure->tcp_proxy || host.secure->secret == nullptr) return result;
  std::string tls_host = TakesOwnConnectionsOnly(host, options) ? TLSHostValue(host.host) : "";
  result.https = ShardsHTTPS(options.delivery)
                     ? TranslateScope(host.host, host.secure->routes, true, std::move(tls_host))
                     : Translate(host.host, host.secure->routes, true, std::move(tls_host));
  return result;
}

std::string HTTPSScopeName(std::string_view host) { return "https/" + VirtualHostName(host); }

Resource RouteConfigurationHead(std::string_view name) {
  Resource result;
  result.name = name;
  route::RouteConfiguration message;
  message.set_name(result.name);
  message.set_ignore_port_in_host_matching(true);
  result.bytes = Serialize(message);
  return result;
}

}  // namespace contour::envoy
