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
#include "envoy/weights.h"
#include "graph/model/cluster.h"
#include "graph/model/match.h"
#include "graph/model/route.h"

namespace contour::envoy {
namespace {

namespace core = ::envoy::config::core::v3;
namespace route = ::envoy::config::route::v3;

// True if Envoy takes the path as a `path_separated_prefix`; it NACKs the whole route configuration
// otherwise.
bool IsSegmentPrefix(std::string_view path) {
  return path.size() >= 2 && path.back() != '/' &&
         path.find_first_of("?#") == std::string_view::npos;
}

// The values that the routes of a host have in common.
struct Common {
  std::string tls_host;  // value of kTLSHostKey that they ask for; empty: any connection

  // True if look-up filters can lead to the host. Each route then has the mark of a found host.
  bool looked_up = false;
};

void SetTLSHost(const Common& common, route::RouteMatch* message) {
  if (common.tls_host.empty()) return;
  auto* state = message->add_filter_state();
  state->set_key(std::string(kTLSHostKey));
  state->mutable_string_match()->set_exact(common.tls_host);
}

google::protobuf::Value& Mark(std::string_view filter, const char* mark, route::Route* message) {
  google::protobuf::Struct& marks =
      (*message->mutable_metadata()->mutable_filter_metadata())[std::string(filter)];
  return (*marks.mutable_fields())[mark];
}

void SetPath(const graph::PathMatch& match, route::RouteMatch* message) {
  using Type = graph::PathMatch::Type;
  std::string value = Text(match.value);
  switch (match.type) {
    case Type::kPrefix:
      message->set_prefix(std::move(value));
      break;
    case Type::kSegmentPrefix:
      // "/" is a prefix of every path. A prefix with a query takes no path in either form.
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
}

void SetMatch(const graph::RouteMatch& match, const Common& common, route::RouteMatch* message) {
  SetPath(match.path, message);
  SetTLSHost(common, message);
}

void SetClusters(const std::vector<graph::WeightedCluster>& clusters, ClusterNamer& namer,
                 route::RouteAction* action, std::vector<std::string>* used) {
  std::vector<Share> shares = Shares(clusters, namer);
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

// True if there is no limit. A negative time, which Envoy doesn't take, means that as well.
bool IsInfinite(const graph::Timeout& timeout) {
  return timeout.infinite || timeout.duration <= std::chrono::nanoseconds(0);
}

void SetPolicies(const graph::RoutePolicies& policies, route::RouteAction* action) {
  const bool infinite = policies.timeout && IsInfinite(*policies.timeout);
  if (policies.timeout) {
    SetDuration(infinite ? std::chrono::nanoseconds(0) : policies.timeout->duration,
                action->mutable_timeout());  // present and 0: none
  }
  // A stream that may last for ever, or be silent, isn't ended for being silent. TCP keepalive
  // finds a peer that has vanished.
  if (infinite || policies.websocket) action->mutable_idle_timeout();  // present and 0: none
  if (policies.retry) SetRetry(*policies.retry, action);
  if (!policies.prefix_rewrite.empty()) action->set_prefix_rewrite(Text(policies.prefix_rewrite));
  if (policies.websocket) action->add_upgrade_configs()->set_upgrade_type("websocket");
}

void SetAction(const graph::RouteAction& source, ClusterNamer& namer, route::Route* message,
               std::vector<std::string>* used) {
  route::RouteAction* action = message->mutable_route();
  SetClusters(source.clusters, namer, action, used);
  SetPolicies(source.policies, action);
  if (std::any_of(source.clusters.begin(), source.clusters.end(), [](const auto& weighted) {
        return weighted.cluster->load_balancing.strategy() ==
               graph::LoadBalancing::Strategy::kCookie;
      })) {
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

void SetRoute(const graph::Route& source, const Common& common, ClusterNamer& namer,
              route::Route* message, std::vector<std::string>* used) {
  SetMatch(source.match, common, message->mutable_match());
  if (common.looked_up) Mark(kLookupFilter, "found", message).set_string_value("route");
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
    SetAction(*action, namer, message, used);
    if (common.looked_up && action->policies.websocket)
      Mark(kUpgradeFilter, "pass", message).set_bool_value(true);
  }
}

// The last routes of a host that takes connections of its own filter chain only: without them a
// path that it doesn't serve would look like a misdirected request.
void AddMisdirected(Common common, route::VirtualHost* message) {
  for (const std::uint32_t status : {404U, 421U}) {
    route::Route* route = message->add_routes();
    route->mutable_match()->set_prefix("/");
    SetTLSHost(common, route->mutable_match());
    route->mutable_direct_response()->set_status(status);
    if (common.looked_up) Mark(kLookupFilter, "found", route).set_string_value("route");
    common.tls_host.clear();
  }
}

void SetRoutes(const std::vector<graph::Route>& routes, const Common& common, ClusterNamer& namer,
               route::VirtualHost* message, std::vector<std::string>* clusters) {
  for (const graph::Route& source : routes) {
    SetRoute(source, common, namer, message->add_routes(), clusters);
  }
  if (!common.tls_host.empty()) AddMisdirected(common, message);
  std::sort(clusters->begin(), clusters->end());
  clusters->erase(std::unique(clusters->begin(), clusters->end()), clusters->end());
  clusters->shrink_to_fit();  // it is kept for each host
}

// Switches on the filter `name`, which is off by default, for requests of this route.
void SwitchOn(std::string_view name, route::Route* message) {
  route::FilterConfig on;
  on.mutable_config();  // present and empty: no configuration of its own
  Pack(on, &(*message->mutable_typed_per_filter_config())[std::string(name)]);
}

// Returns the regex of `:authority` for the names that a wildcard host takes. Case and port are
// ignored, as Envoy ignores them in domains.
std::string AuthorityRegex(std::string_view host) {
  return "(?i)" + WildcardRegex(host) + "(:[^:]*)?";
}

// The first route of a wildcard host in classic delivery, for names that the host doesn't take. On
// plain HTTP filters of the listener look for the host "*" instead; where the listener has none,
// and on HTTPS, the answer is 404. A direct response would not do, since Envoy refuses an upgrade
// there before it runs filters.
void AddFallThrough(std::string_view host, bool https, route::VirtualHost* message) {
  route::Route* route = message->add_routes();
  route->mutable_match()->set_prefix("");
  auto* authority = route->mutable_match()->add_headers();
  authority->set_name(":authority");
  authority->mutable_string_match()->mutable_safe_regex()->set_regex(AuthorityRegex(host));
  authority->set_invert_match(true);
  auto* action = route->mutable_route();
  action->set_cluster(std::string(kNoCluster));
  action->set_cluster_not_found_response_code(route::RouteAction::NOT_FOUND);
  action->add_upgrade_configs()->set_upgrade_type("websocket");
  if (https) return;
  SwitchOn(kLookupFilter, route);
  SwitchOn(kUpgradeFilter, route);
}

// The first route of a wildcard host's scope. The scope is found for names that the host takes, and
// by an authority like the host itself (`*.example.com`): that is looked up as if it had not been
// found. The look-up has put the authority that was sent aside.
void AddOtherNames(std::string_view host, route::VirtualHost* message) {
  route::Route* route = message->add_routes();
  route->mutable_match()->set_prefix("");
  auto* authority = route->mutable_match()->add_dynamic_metadata();
  authority->set_filter(std::string(kLookupFilter));
  authority->add_path()->set_key("authority");
  authority->mutable_value()->mutable_string_match()->mutable_safe_regex()->set_regex(
      AuthorityRegex(host));
  authority->set_invert(true);
  route->mutable_direct_response()->set_status(404);
  SwitchOn(kLookupFilter, route);
}

std::optional<Resource> Translate(const std::string& host, const std::vector<graph::Route>& routes,
                                  bool https, std::string tls_host, ClusterNamer& namer) {
  if (host.empty() || routes.empty()) return std::nullopt;
  Resource result;
  google::protobuf::Arena arena;
  auto& message = *google::protobuf::Arena::CreateMessage<route::VirtualHost>(&arena);
  result.name = VirtualHostName(host, namer.hash_digits());
  message.set_name(result.name);
  const std::string domain = Text(host);
  message.add_domains(domain);
  if (domain != "*") message.add_domains(domain + ":*");
  if (IsWildcardHost(domain)) AddFallThrough(domain, https, &message);
  SetRoutes(routes, {std::move(tls_host), domain == "*"}, namer, &message, &result.clusters);
  result.bytes = Serialize(message);
  return result;
}

// The second fragment of the key of HTTPS; see SetScopedRDS in listener.cc.
constexpr const char* kHTTPSKey = "https";
constexpr std::string_view kHTTPSScope = "https/";

// Returns the routes of one host as a scoped route configuration.
std::optional<Resource> TranslateScope(const std::string& host,
                                       const std::vector<graph::Route>& routes, bool https,
                                       std::string tls_host, ClusterNamer& namer) {
  if (host.empty() || routes.empty()) return std::nullopt;
  Resource result;
  google::protobuf::Arena arena;
  auto& message = *google::protobuf::Arena::CreateMessage<route::ScopedRouteConfiguration>(&arena);
  result.name = https ? HTTPSScopeName(host, namer.hash_digits())
                      : VirtualHostName(host, namer.hash_digits());
  message.set_name(result.name);
  message.mutable_key()->add_fragments()->set_string_key(Text(host));
  if (https) message.mutable_key()->add_fragments()->set_string_key(kHTTPSKey);
  auto* configuration = message.mutable_route_configuration();
  configuration->set_name(std::string(https ? kIngressHTTPS : kIngressHTTP));
  // This is the default of a route configuration that is fetched: a route may come before its
  // cluster.
  configuration->mutable_validate_clusters()->set_value(false);
  auto* virtual_host = configuration->add_virtual_hosts();
  virtual_host->set_name(VirtualHostName(host, namer.hash_digits()));
  virtual_host->add_domains("*");  // the scope has been found by the host
  if (IsWildcardHost(host)) AddOtherNames(Text(host), virtual_host);
  SetRoutes(routes, {std::move(tls_host), true}, namer, virtual_host, &result.clusters);
  // The host is known, so a path without a route must not be looked up further.
  route::Route* rest = virtual_host->add_routes();
  rest->mutable_match()->set_prefix("");
  rest->mutable_direct_response()->set_status(404);
  Mark(kLookupFilter, "found", rest).set_string_value("nothing");
  Mark(kUpgradeFilter, "pass", rest).set_bool_value(true);
  route::FilterConfig found;
  found.set_disabled(true);
  Pack(found, &(*virtual_host->mutable_typed_per_filter_config())[std::string(kLookupFilter)]);
  result.bytes = Serialize(message);
  return result;
}

}  // namespace

VirtualHostResources TranslateVirtualHost(const graph::VirtualHost& host,
                                          const ListenerOptions& options, const Names& names) {
  VirtualHostResources result;
  ClusterNamer namer(names);
  if (const graph::ListenerHost* http = host.Find(graph::kHTTPListener)) {
    result.http = ShardsHTTP(options.delivery)
                      ? TranslateScope(host.host, http->routes, false, "", namer)
                      : Translate(host.host, http->routes, false, "", namer);
  }
  // A TCP proxy takes the whole connection, and without a certificate its requests can't be read.
  const graph::ListenerHost* https = host.Find(graph::kHTTPSListener);
  if (https == nullptr || https->tcp_proxy || https->secret == nullptr) return result;
  std::string tls_host = TakesOwnConnectionsOnly(host, options) ? TLSHostValue(host.host) : "";
  result.https = ShardsHTTPS(options.delivery)
                     ? TranslateScope(host.host, https->routes, true, std::move(tls_host), namer)
                     : Translate(host.host, https->routes, true, std::move(tls_host), namer);
  return result;
}

std::string HTTPSScopeName(std::string_view host, std::size_t digits) {
  return std::string(kHTTPSScope) + VirtualHostName(host, digits);
}

std::optional<std::string_view> ParseHTTPSScopeName(std::string_view name) {
  if (!name.starts_with(kHTTPSScope)) return std::nullopt;
  return name.substr(kHTTPSScope.size());
}

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
