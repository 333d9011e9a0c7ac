// SPDX-License-Identifier: Apache-2.0
#include "envoy/route.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "envoy/config/route/v3/route.pb.h"
#include "envoy/config/route/v3/scoped_route.pb.h"
#include "envoy/message.h"
#include "envoy/names.h"
#include "envoy/testing.h"
#include "graph/model/certificate.h"
#include "graph/model/cluster.h"
#include "graph/model/listener.h"
#include "graph/model/match.h"
#include "graph/model/route.h"

namespace contour::envoy {
namespace {

using ::envoy::config::route::v3::RouteConfiguration;
using ::envoy::config::route::v3::ScopedRouteConfiguration;
using EnvoyVirtualHost = ::envoy::config::route::v3::VirtualHost;
using graph::PathMatch;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

graph::Route To(std::vector<graph::WeightedCluster> clusters, PathMatch match = {}) {
  graph::Route route;
  route.match.path = std::move(match);
  route.action = graph::RouteAction{.clusters = std::move(clusters), .policies = {}};
  return route;
}

graph::VirtualHost Host(std::vector<graph::Route> routes, std::string name = "www.example.com") {
  graph::VirtualHost host;
  host.host = std::move(name);
  host.At(graph::kHTTPListener).routes = std::move(routes);
  return host;
}

std::optional<Resource> Scope(const graph::VirtualHost& host) {
  return TranslateVirtualHost(host, {.delivery = Delivery::kSharded}).http;
}

// Returns the HTTP part, which must exist.
Resource HTTP(const graph::VirtualHost& host) {
  return TranslateVirtualHost(host, {}).http.value_or(Resource{"missing", "", {}});
}

constexpr const char* kStart = R"(
  request_headers_to_add {
    header { key: "x-request-start" value: "t=%START_TIME(%s.%3f)%" }
    append_action: APPEND_IF_EXISTS_OR_ADD
  })";

// ---- Actions of a route ----

struct ActionCase {
  const char* name;
  graph::RouteAction action;
  std::string want;  // of `route`
};

class RouteActionTest : public testing::TestWithParam<ActionCase> {};

TEST_P(RouteActionTest, Table) {
  graph::Route route;
  route.action = GetParam().action;
  EXPECT_EQ(
      Difference<EnvoyVirtualHost>(HTTP(Host({route})).bytes, fmt::format(R"(
      name: "www.example.com"
      domains: "www.example.com" domains: "www.example.com:*"
      routes {{ match {{ prefix: "/" }} route {{ {} }} {} }})",
                                                                          GetParam().want, kStart)),
      "");
}

constexpr const char* kOne = R"(cluster: "default/kuard/80/da39a3ee5e" )";

graph::RouteAction Action(std::vector<graph::WeightedCluster> clusters) {
  return {.clusters = std::move(clusters), .policies = {}};
}
graph::RouteAction WithTimeout(graph::Timeout timeout) {
  graph::RouteAction action = Action({Weighted("kuard")});
  action.policies.timeout = timeout;
  return action;
}
graph::RouteAction WithRetry(graph::Retry retry) {
  graph::RouteAction action = Action({Weighted("kuard")});
  action.policies.retry = std::move(retry);
  return action;
}
graph::RouteAction WebSocket(std::vector<graph::WeightedCluster> clusters) {
  graph::RouteAction action = Action(std::move(clusters));
  action.policies.websocket = true;
  return action;
}

std::string Split(const std::vector<std::pair<std::string, std::uint32_t>>& shares) {
  std::string text = "weighted_clusters {";
  for (const auto& [cluster, weight] : shares) {
    text +=
        fmt::format(" clusters {{ name: 'default/{}' weight {{ value: {} }} }}", cluster, weight);
  }
  return text + "}";
}

constexpr const char* kCookie =
    "hash_policy { cookie { name: 'X-Contour-Session-Affinity' ttl {} path: '/' } }";

INSTANTIATE_TEST_SUITE_P(
    Spec, RouteActionTest,
    testing::Values(
        ActionCase{"single", Action({Weighted("kuard")}), kOne},
        ActionCase{"weight_of_one_is_ignored", Action({Weighted("kuard", 90)}), kOne},
        ActionCase{
            "websocket", WebSocket({Weighted("kuard")}),
            std::string(kOne) + "upgrade_configs { upgrade_type: 'websocket' } idle_timeout {}"},
        ActionCase{"even_split", Action({Weighted("b"), Weighted("a")}),
                   Split({{"a/80/da39a3ee5e", 1}, {"b/80/da39a3ee5e", 1}})},
        ActionCase{"even_split_websocket", WebSocket({Weighted("b"), Weighted("a")}),
                   Split({{"a/80/da39a3ee5e", 1}, {"b/80/da39a3ee5e", 1}}) +
                       "upgrade_configs { upgrade_type: 'websocket' } idle_timeout {}"},
        ActionCase{"weights", Action({Weighted("a", 80), Weighted("b", 20)}),
                   Split({{"a/80/da39a3ee5e", 80}, {"b/80/da39a3ee5e", 20}})},
        ActionCase{
            "weights_with_zero", Action({Weighted("a", 80), Weighted("b", 20), Weighted("c", 0)}),
            Split({{"a/80/da39a3ee5e", 80}, {"b/80/da39a3ee5e", 20}, {"c/80/da39a3ee5e", 0}})},
        ActionCase{"same_cluster_twice", Action({Weighted("a", 90), Weighted("a", 60)}),
                   Split({{"a/80/da39a3ee5e", 60}, {"a/80/da39a3ee5e", 90}})},
        ActionCase{"huge_weights_are_scaled",
                   Action({Weighted("a", 4294967295), Weighted("b", 4294967295), Weighted("c", 1)}),
                   Split({{"a/80/da39a3ee5e", 1431655765},
                          {"b/80/da39a3ee5e", 1431655765},
                          {"c/80/da39a3ee5e", 1}})},
        ActionCase{"empty_retry_on", WithRetry({"", 3, seconds(1)}), kOne},
        ActionCase{"retry", WithRetry({"503", 6, milliseconds(100)}),
                   std::string(kOne) + R"(retry_policy { retry_on: "503" num_retries { value: 6 }
                                          per_try_timeout { nanos: 100000000 } })"},
        ActionCase{"retry_defaults", WithRetry({"5xx,gateway-error", {}, {}}),
                   std::string(kOne) + "retry_policy { retry_on: '5xx,gateway-error' }"},
        ActionCase{"retry_zeros", WithRetry({"5xx", 0, nanoseconds(-1)}),
                   std::string(kOne) + "retry_policy { retry_on: '5xx' }"},
        ActionCase{"timeout", WithTimeout({false, seconds(90)}),
                   std::string(kOne) + "timeout { seconds: 90 }"},
        ActionCase{"timeout_infinite", WithTimeout({true, seconds(5)}),
                   std::string(kOne) + "timeout {} idle_timeout {}"},
        ActionCase{"timeout_negative", WithTimeout({false, seconds(-5)}),
                   std::string(kOne) + "timeout {} idle_timeout {}"},
        ActionCase{"timeout_huge", WithTimeout({false, nanoseconds::max()}),
                   std::string(kOne) + "timeout { seconds: 3153600000 }"},
        ActionCase{"prefix_rewrite",
                   [] {
                     graph::RouteAction action = Action({Weighted("kuard")});
                     action.policies.prefix_rewrite = "/api/v1";
                     return action;
                   }(),
                   std::string(kOne) + "prefix_rewrite: '/api/v1'"},
        ActionCase{"affinity", Action({Weighted("kuard", 0, "Cookie")}),
                   std::string("cluster: 'default/kuard/80/e4f81994fe'") + kCookie},
        ActionCase{"affinity_of_all",
                   Action({Weighted("a", 0, "Cookie"), Weighted("b", 0, "Cookie")}),
                   Split({{"a/80/e4f81994fe", 1}, {"b/80/e4f81994fe", 1}}) + kCookie},
        ActionCase{"affinity_of_some", Action({Weighted("a"), Weighted("b", 0, "Cookie")}),
                   Split({{"a/80/da39a3ee5e", 1}, {"b/80/e4f81994fe", 1}}) + kCookie}),
    [](const auto& c) { return std::string(c.param.name); });

TEST(RouteTest, DirectResponses) {
  std::vector<graph::Route> routes(4);
  routes[0].action = graph::DirectResponse{503};
  routes[1].action = graph::DirectResponse{0};
  routes[2].action = graph::DirectResponse{4294967295};
  routes[3].action = graph::RouteAction{};  // no cluster: can't be served
  const Resource got = HTTP(Host(routes));
  EXPECT_EQ(Difference<EnvoyVirtualHost>(got.bytes, R"(
      name: "www.example.com" domains: "www.example.com" domains: "www.example.com:*"
      routes { match { prefix: "/" } direct_response { status: 503 } }
      routes { match { prefix: "/" } direct_response { status: 503 } }
      routes { match { prefix: "/" } direct_response { status: 503 } }
      routes { match { prefix: "/" } direct_response { status: 503 } })"),
            "");
  EXPECT_THAT(got.clusters, IsEmpty());
}

TEST(RouteTest, RedirectsNeedNoCluster) {
  graph::Route route = To({Weighted("kuard")});
  route.https_redirect = true;
  const Resource got = HTTP(Host({route}));
  EXPECT_EQ(Difference<EnvoyVirtualHost>(got.bytes, R"(
      name: "www.example.com" domains: "www.example.com" domains: "www.example.com:*"
      routes { match { prefix: "/" } redirect { https_redirect: true } })"),
            "");
  EXPECT_THAT(got.clusters, IsEmpty());
}

// ---- Matches of a route ----

struct MatchCase {
  const char* name;
  PathMatch match;
  std::string want;
};

class RouteMatchTest : public testing::TestWithParam<MatchCase> {};

TEST_P(RouteMatchTest, Table) {
  EnvoyVirtualHost message;
  ASSERT_TRUE(
      message.ParseFromString(HTTP(Host({To({Weighted("kuard")}, GetParam().match)})).bytes));
  EXPECT_EQ(message.routes(0).match().ShortDebugString(), GetParam().want);
}

INSTANTIATE_TEST_SUITE_P(
    Spec, RouteMatchTest,
    testing::Values(
        MatchCase{"prefix", {PathMatch::Type::kPrefix, "/foo/"}, R"(prefix: "/foo/")"},
        MatchCase{"empty_prefix", {PathMatch::Type::kPrefix, ""}, R"(prefix: "")"},
        MatchCase{"segments",
                  {PathMatch::Type::kSegmentPrefix, "/foo"},
                  R"(path_separated_prefix: "/foo")"},
        MatchCase{"all_segments", {PathMatch::Type::kSegmentPrefix, "/"}, R"(prefix: "/")"},
        MatchCase{"segments_with_slash",
                  {PathMatch::Type::kSegmentPrefix, "/foo/"},
                  R"(prefix: "/foo/")"},
        MatchCase{"segments_with_query",
                  {PathMatch::Type::kSegmentPrefix, "/foo?a"},
                  R"(prefix: "/foo?a")"},
        MatchCase{"exact", {PathMatch::Type::kExact, "/foo"}, R"(path: "/foo")"},
        MatchCase{"regex",
                  {PathMatch::Type::kRegex, "/foo/[0-9]+"},
                  R"(safe_regex { regex: "/foo/[0-9]+" })"},
        MatchCase{"empty_regex", {PathMatch::Type::kRegex, ""}, R"(path: "")"},
        MatchCase{"not_text", {PathMatch::Type::kExact, "/\xff\n"}, R"(path: "/\\xff\\x0a")"}),
    [](const auto& c) { return std::string(c.param.name); });

TEST(RouteTest, KeepsTheOrder) {
  const graph::VirtualHost host = Host({To({Weighted("c")}, {PathMatch::Type::kRegex, "/b.*"}),
                                        To({Weighted("a")}, {PathMatch::Type::kPrefix, "/z"}),
                                        To({Weighted("c")}, {PathMatch::Type::kPrefix, "/"})});
  const Resource got = HTTP(host);
  EnvoyVirtualHost message;
  ASSERT_TRUE(message.ParseFromString(got.bytes));
  ASSERT_EQ(message.routes_size(), 3);
  EXPECT_EQ(message.routes(0).match().safe_regex().regex(), "/b.*");
  EXPECT_EQ(message.routes(1).match().prefix(), "/z");
  EXPECT_EQ(message.routes(2).match().prefix(), "/");
  EXPECT_THAT(got.clusters, ElementsAre("default/a/80/da39a3ee5e", "default/c/80/da39a3ee5e"));
  EXPECT_EQ(got.bytes, HTTP(host).bytes);
}

// ---- Hosts ----

// Returns the first route of `*.Example.com`.
std::string OtherNames(const std::string& filters) {
  return fmt::format(R"(
      routes {{
        match {{
          prefix: ""
          headers {{
            name: ":authority"
            string_match {{ safe_regex {{
              regex: "(?i)[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?\\.Example\\.com(:[^:]*)?" }} }}
            invert_match: true
          }}
        }}
        route {{
          cluster: "none"
          cluster_not_found_response_code: NOT_FOUND
          upgrade_configs {{ upgrade_type: "websocket" }}
        }}
        {}
      }})",
                     filters);
}
constexpr const char* kLookForAnyHost = R"(
        typed_per_filter_config {
          key: "contour.host"
          value { [type.googleapis.com/envoy.config.route.v3.FilterConfig] { config {} } }
        }
        typed_per_filter_config {
          key: "contour.upgrade"
          value { [type.googleapis.com/envoy.config.route.v3.FilterConfig] { config {} } }
        })";

TEST(VirtualHostTest, WildcardsTakeOneLabel) {
  graph::Route redirect = To({Weighted("kuard")});
  redirect.https_redirect = true;
  EXPECT_EQ(Difference<EnvoyVirtualHost>(
                HTTP(Host({To({Weighted("kuard")}), redirect}, "*.Example.com")).bytes,
                fmt::format(R"(
      name: "*.Example.com" domains: "*.Example.com" domains: "*.Example.com:*"
      {0}
      routes {{ match {{ prefix: "/" }} route {{ cluster: "default/kuard/80/da39a3ee5e" }} {1} }}
      routes {{ match {{ prefix: "/" }} redirect {{ https_redirect: true }} }})",
                            OtherNames(kLookForAnyHost), kStart)),
            "");
}

TEST(VirtualHostTest, TheHostAnyIsMarkedSinceALookUpMayLeadToIt) {
  graph::Route websocket = To({Weighted("kuard")});
  std::get<graph::RouteAction>(websocket.action).policies.websocket = true;
  const auto marks = [](const graph::VirtualHost& host) {
    EnvoyVirtualHost message;
    EXPECT_TRUE(message.ParseFromString(HTTP(host).bytes));
    return message.routes().rbegin()->metadata().ShortDebugString();
  };
  EXPECT_EQ(marks(Host({To({Weighted("kuard")})}, "*")),
            R"(filter_metadata { key: "contour.host" value { fields { key: "found" )"
            R"(value { string_value: "route" } } } })");
  EXPECT_EQ(marks(Host({websocket}, "*")),
            R"(filter_metadata { key: "contour.host" value { fields { key: "found" )"
            R"(value { string_value: "route" } } } } )"
            R"(filter_metadata { key: "contour.upgrade" value { fields { key: "pass" )"
            R"(value { bool_value: true } } } })");
  EXPECT_EQ(marks(Host({websocket}, "*.example.com")), "");
  EXPECT_EQ(marks(Host({websocket}, "www.example.com")), "");
}

TEST(VirtualHostTest, OwnTLSSettingsTakeOwnConnectionsOnly) {
  graph::VirtualHost host = Host({To({Weighted("kuard")})}, "*.Example.com");
  host.At(graph::kHTTPSListener).secret = std::make_shared<const graph::ServingSecret>();
  host.At(graph::kHTTPSListener).routes = {
      To({Weighted("kuard")}, {PathMatch::Type::kPrefix, "/a"})};
  host.At(graph::kHTTPSListener).minimum_version = graph::TLSVersion::k1_3;
  const std::string own = R"(
      filter_state { key: "projectcontour.io.tls_host" string_match { exact: "*.example.com" } })";
  EXPECT_EQ(Difference<EnvoyVirtualHost>(TranslateVirtualHost(host, {}).https->bytes,
                                         fmt::format(R"(
      name: "*.Example.com" domains: "*.Example.com" domains: "*.Example.com:*"
      {1}
      routes {{ match {{ prefix: "/a" {0} }} route {{ cluster: "default/kuard/80/da39a3ee5e" }} {2} }}
      routes {{ match {{ prefix: "/" {0} }} direct_response {{ status: 404 }} }}
      routes {{ match {{ prefix: "/" }} direct_response {{ status: 421 }} }})",
                                                     own, OtherNames(""), kStart)),
            "");
  // Plain HTTP doesn't change, and neither does HTTPS where all hosts have these settings.
  EXPECT_EQ(TranslateVirtualHost(host, {}).http->bytes.find("filter_state"), std::string::npos);
  EXPECT_EQ(TranslateVirtualHost(host, {}).http->bytes.find("tls_host"), std::string::npos);
  ListenerOptions options;
  options.minimum_tls_version = graph::TLSVersion::k1_3;
  EXPECT_NE(TranslateVirtualHost(host, options).https->bytes.find("tls_host"), std::string::npos);
  host.host = "www.example.com";  // a wildcard has a chain of its own in any case
  EXPECT_EQ(TranslateVirtualHost(host, options).https->bytes.find("tls_host"), std::string::npos);
}

TEST(VirtualHostTest, HashesLongNames) {
  const std::string host = "my-very-very-long-service-host-name.subdomain.boring-dept.my.company";
  const Resource got = HTTP(Host({To({Weighted("kuard")})}, host));
  EXPECT_EQ(got.name, VirtualHostName(host));
  EnvoyVirtualHost message;
  ASSERT_TRUE(message.ParseFromString(got.bytes));
  EXPECT_EQ(message.name(), got.name);
  EXPECT_EQ(message.domains(0), host);
}

TEST(VirtualHostTest, IsAbsentWithoutRoutes) {
  graph::VirtualHost host = Host({});
  EXPECT_FALSE(TranslateVirtualHost(host, {}).http);
  EXPECT_FALSE(TranslateVirtualHost(host, {}).https);
  EXPECT_FALSE(TranslateVirtualHost(Host({To({Weighted("kuard")})}, ""), {}).http);

  graph::ListenerHost& secure = host.At(graph::kHTTPSListener);
  secure.secret = std::make_shared<const graph::ServingSecret>();
  EXPECT_FALSE(TranslateVirtualHost(host, {}).https);  // no routes
  secure.routes = {To({Weighted("kuard")})};
  EXPECT_FALSE(TranslateVirtualHost(host, {}).http);
  ASSERT_TRUE(TranslateVirtualHost(host, {}).https);
  EXPECT_THAT(TranslateVirtualHost(host, {}).https->clusters,
              ElementsAre("default/kuard/80/da39a3ee5e"));
  secure.tcp_proxy = graph::TCPProxy{{Weighted("kuard")}};
  EXPECT_FALSE(TranslateVirtualHost(host, {}).https);  // taken by the proxy
  secure.tcp_proxy.reset();
  secure.secret = nullptr;
  EXPECT_FALSE(TranslateVirtualHost(host, {}).https);  // can't be read
}

TEST(VirtualHostTest, BothSidesMayDiffer) {
  graph::VirtualHost host = Host({To({Weighted("a")})});
  host.At(graph::kHTTPSListener).secret = std::make_shared<const graph::ServingSecret>();
  host.At(graph::kHTTPSListener).routes = {To({Weighted("b")})};
  const VirtualHostResources got = TranslateVirtualHost(host, {});
  ASSERT_TRUE(got.http && got.https);
  EXPECT_THAT(got.http->clusters, ElementsAre("default/a/80/da39a3ee5e"));
  EXPECT_THAT(got.https->clusters, ElementsAre("default/b/80/da39a3ee5e"));
  EXPECT_EQ(got.http->name, got.https->name);
}

TEST(ScopeTest, IsOneHostWithALastRouteThatAnswers404) {
  const std::optional<Resource> got = Scope(Host({To({Weighted("kuard")})}, "www.example.com"));
  ASSERT_TRUE(got);
  EXPECT_EQ(got->name, "www.example.com");
  EXPECT_THAT(got->clusters, ElementsAre("default/kuard/80/da39a3ee5e"));
  EXPECT_EQ(Difference<ScopedRouteConfiguration>(got->bytes, R"(
    name: "www.example.com"
    key { fragments { string_key: "www.example.com" } }
    route_configuration {
      name: "ingress_http"
      validate_clusters { value: false }
      virtual_hosts {
        name: "www.example.com"
        domains: "*"
        routes {
          match { prefix: "/" }
          route { cluster: "default/kuard/80/da39a3ee5e" }
          request_headers_to_add {
            header { key: "x-request-start" value: "t=%START_TIME(%s.%3f)%" }
            append_action: APPEND_IF_EXISTS_OR_ADD
          }
          metadata { filter_metadata {
            key: "contour.host"
            value { fields { key: "found" value { string_value: "route" } } }
          } }
        }
        routes {
          match { prefix: "" }
          direct_response { status: 404 }
          metadata {
            filter_metadata {
              key: "contour.host"
              value { fields { key: "found" value { string_value: "nothing" } } }
            }
            filter_metadata {
              key: "contour.upgrade"
              value { fields { key: "pass" value { bool_value: true } } }
            }
          }
        }
        typed_per_filter_config {
          key: "contour.host"
          value {
            [type.googleapis.com/envoy.config.route.v3.FilterConfig] { disabled: true }
          }
        }
      }
    })"),
            "");
}

TEST(ScopeTest, AWildcardIsHeldAgainstTheAuthorityThatWasSent) {
  const std::optional<Resource> got = Scope(Host({To({Weighted("kuard")})}, "*.example.com"));
  ASSERT_TRUE(got);
  ScopedRouteConfiguration message;
  ASSERT_TRUE(message.ParseFromString(got->bytes));
  EXPECT_EQ(message.key().fragments(0).string_key(), "*.example.com");
  const auto& host = message.route_configuration().virtual_hosts(0);
  ASSERT_EQ(host.routes_size(), 3);
  // A name that the wildcard doesn't take isn't found: `*.example.com` itself.
  EXPECT_TRUE(host.routes(0).match().headers().empty());
  ASSERT_EQ(host.routes(0).match().dynamic_metadata_size(), 1);
  const auto& guard = host.routes(0).match().dynamic_metadata(0);
  EXPECT_EQ(guard.filter(), "contour.host");
  EXPECT_EQ(guard.path(0).key(), "authority");
  EXPECT_EQ(guard.value().string_match().safe_regex().regex(),
            R"((?i)[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?\.example\.com(:[^:]*)?)");
  EXPECT_TRUE(guard.invert());
  EXPECT_EQ(host.routes(0).direct_response().status(), 404U);
  EXPECT_FALSE(host.routes(0).has_metadata());
  ::envoy::config::route::v3::FilterConfig on;
  ASSERT_TRUE(host.routes(0).typed_per_filter_config().at("contour.host").UnpackTo(&on));
  EXPECT_TRUE(on.has_config() && !on.disabled());
  for (int i = 1; i < 3; ++i) {
    EXPECT_TRUE(host.routes(i).match().dynamic_metadata().empty());
    EXPECT_TRUE(host.routes(i).metadata().filter_metadata().contains("contour.host"));
  }
}

TEST(ScopeTest, WebsocketRoutesAreMarked) {
  graph::Route websocket = To({Weighted("a")}, {PathMatch::Type::kPrefix, "/ws"});
  std::get<graph::RouteAction>(websocket.action).policies.websocket = true;
  const std::optional<Resource> got = Scope(Host({websocket, To({Weighted("b")})}));
  ASSERT_TRUE(got);
  ScopedRouteConfiguration message;
  ASSERT_TRUE(message.ParseFromString(got->bytes));
  const auto& routes = message.route_configuration().virtual_hosts(0).routes();
  ASSERT_EQ(routes.size(), 3);
  EXPECT_TRUE(routes[0].metadata().filter_metadata().contains("contour.upgrade"));
  EXPECT_FALSE(routes[1].metadata().filter_metadata().contains("contour.upgrade"));
}

TEST(ScopeTest, TakesThePlaceOfThePartInShardedDelivery) {
  graph::VirtualHost host = Host({To({Weighted("a")})});
  host.At(graph::kHTTPSListener).secret = std::make_shared<const graph::ServingSecret>();
  host.At(graph::kHTTPSListener).routes = {To({Weighted("b")})};
  const VirtualHostResources classic = TranslateVirtualHost(host, {});
  const VirtualHostResources sharded = TranslateVirtualHost(host, {.delivery = Delivery::kSharded});
  ASSERT_TRUE(classic.https && sharded.http && sharded.https);
  EXPECT_NE(sharded.http->bytes, classic.http->bytes);
  EXPECT_EQ(sharded.http->name, classic.http->name);
  EXPECT_EQ(sharded.https->bytes, classic.https->bytes);

  const VirtualHostResources both =
      TranslateVirtualHost(host, {.delivery = Delivery::kShardedHTTPS});
  ASSERT_TRUE(both.http && both.https);
  EXPECT_EQ(both.http->bytes, sharded.http->bytes);
  EXPECT_EQ(both.https->name, HTTPSScopeName(host.host));
  EXPECT_EQ(both.https->clusters, classic.https->clusters);
}

// Envoy has one set of scopes for both ports; their keys differ.
TEST(ScopeTest, HTTPSScopesHaveAKeyOfTheirOwn) {
  graph::VirtualHost host = Host({To({Weighted("a")})});
  host.At(graph::kHTTPSListener).secret = std::make_shared<const graph::ServingSecret>();
  host.At(graph::kHTTPSListener).routes = {To({Weighted("b")})};
  const VirtualHostResources got =
      TranslateVirtualHost(host, {.delivery = Delivery::kShardedHTTPS});
  ASSERT_TRUE(got.http && got.https);
  ScopedRouteConfiguration http;
  ScopedRouteConfiguration https;
  ASSERT_TRUE(http.ParseFromString(got.http->bytes) && https.ParseFromString(got.https->bytes));
  EXPECT_EQ(https.name(), "https/www.example.com");
  ASSERT_EQ(http.key().fragments_size(), 1);
  ASSERT_EQ(https.key().fragments_size(), 2);
  EXPECT_EQ(https.key().fragments(0).string_key(), http.key().fragments(0).string_key());
  EXPECT_EQ(https.key().fragments(1).string_key(), "https");
  EXPECT_EQ(https.route_configuration().name(), "ingress_https");
}

TEST(ScopeTest, AHostWithOwnConnectionsAnswers421OnOthers) {
  graph::VirtualHost host = Host({});
  host.At(graph::kHTTPSListener).secret = std::make_shared<const graph::ServingSecret>();
  host.At(graph::kHTTPSListener).routes = {To({Weighted("a")}, {PathMatch::Type::kPrefix, "/a"})};
  host.At(graph::kHTTPSListener).minimum_version = graph::TLSVersion::k1_3;
  ScopedRouteConfiguration message;
  ASSERT_TRUE(message.ParseFromString(
      TranslateVirtualHost(host, {.delivery = Delivery::kShardedHTTPS}).https->bytes));
  const auto& routes = message.route_configuration().virtual_hosts(0).routes();
  ASSERT_EQ(routes.size(), 4);  // the host's; 404 and 421; and 404 where nothing matches
  EXPECT_EQ(routes[0].match().filter_state(0).string_match().exact(), "www.example.com");
  EXPECT_EQ(routes[1].match().filter_state(0).string_match().exact(), "www.example.com");
  EXPECT_EQ(routes[1].direct_response().status(), 404U);
  EXPECT_TRUE(routes[2].match().filter_state().empty());
  EXPECT_EQ(routes[2].direct_response().status(), 421U);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(routes[i]
                  .metadata()
                  .filter_metadata()
                  .at("contour.host")
                  .fields()
                  .at("found")
                  .string_value(),
              "route")
        << i;
  }
}

TEST(ScopeTest, OnlyPlainHTTPHasOne) {
  graph::VirtualHost host = Host({});
  host.At(graph::kHTTPSListener).secret = std::make_shared<const graph::ServingSecret>();
  host.At(graph::kHTTPSListener).routes = {To({Weighted("kuard")})};
  EXPECT_FALSE(Scope(host));
  EXPECT_FALSE(Scope(Host({To({Weighted("kuard")})}, "")));
}

TEST(RouteConfigurationTest, IsHeadAndParts) {
  const Resource head = RouteConfigurationHead(kIngressHTTP);
  EXPECT_EQ(head.name, "ingress_http");
  std::string bytes = head.bytes;
  EXPECT_EQ(Difference<RouteConfiguration>(
                bytes, R"(name: "ingress_http" ignore_port_in_host_matching: true)"),
            "");
  AppendPart(kVirtualHostsField, HTTP(Host({To({Weighted("a")})}, "a.example.com")).bytes, &bytes);
  AppendPart(kVirtualHostsField, HTTP(Host({To({Weighted("b")})}, "b.example.com")).bytes, &bytes);
  RouteConfiguration message;
  ASSERT_TRUE(message.ParseFromString(bytes));
  ASSERT_EQ(message.virtual_hosts_size(), 2);
  EXPECT_EQ(message.virtual_hosts(1).name(), "b.example.com");
}

TEST(VirtualHostTest, OddTextIsNotLost) {
  graph::Route route = To({Weighted("k\xff")}, {PathMatch::Type::kRegex, "\xc3("});
  std::get<graph::RouteAction>(route.action).policies.prefix_rewrite = "/\r\n";
  std::get<graph::RouteAction>(route.action).policies.retry = graph::Retry{"\x80", {}, {}};
  for (const char* name : {"*.\xff", "\xff", "*", "*.", ":", "*.a.*"}) {
    const Resource got = HTTP(Host({route}, name));
    EnvoyVirtualHost message;
    ASSERT_TRUE(message.ParseFromString(got.bytes)) << name;  // checks UTF-8
    const auto& action = message.routes().rbegin()->route();  // behind the wildcards' first
    EXPECT_EQ(action.prefix_rewrite(), "/\\x0d\\x0a");
    EXPECT_THAT(got.clusters, ElementsAre(action.cluster()));
  }
}

}  // namespace
}  // namespace contour::envoy
