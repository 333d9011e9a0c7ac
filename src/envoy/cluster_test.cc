// SPDX-License-Identifier: Apache-2.0
#include "envoy/cluster.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"
#include "envoy/testing.h"
#include "graph/policy/load_balancing.h"

namespace contour::envoy {
namespace {

using EnvoyCluster = ::envoy::config::cluster::v3::Cluster;

constexpr const char* kHTTP2 = R"(
  typed_extension_protocol_options {
    key: "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    value { [type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions] {
      explicit_http_config { http2_protocol_options {} } } }
  })";

std::string TLS(const std::string& common) {
  return fmt::format(R"(
  transport_socket {{
    name: "envoy.transport_sockets.tls"
    typed_config {{ [type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext] {{
      common_tls_context {{ tls_params {{ tls_maximum_protocol_version: TLSv1_3 }} {} }} }} }}
  }})",
                     common);
}

struct Case {
  const char* name;
  std::function<void(graph::Cluster*)> change;  // from default/kuard, port 80
  std::string hash;
  std::string differs;  // what comes on top of the basic message
};

class TranslateClusterTest : public testing::TestWithParam<Case> {};

TEST_P(TranslateClusterTest, Table) {
  const Case& c = GetParam();
  graph::Cluster cluster = TestCluster();
  c.change(&cluster);
  const ClusterResource got = TranslateCluster(cluster, ConfigSource::kAds);
  EXPECT_EQ(got.resource.name, "default/kuard/80/" + c.hash);
  EXPECT_TRUE(got.resource.clusters.empty());
  EXPECT_EQ(Difference<EnvoyCluster>(got.resource.bytes, fmt::format(R"(
      name: "default/kuard/80/{}"
      alt_stat_name: "default_kuard_80"
      type: EDS
      eds_cluster_config {{ eds_config {{ ads {{}} resource_api_version: V3 }} service_name: "default/kuard" }}
      connect_timeout {{ seconds: 2 }}
      common_lb_config {{ healthy_panic_threshold {{}} }}
      {})",
                                                                     c.hash, c.differs)),
            "");
  EXPECT_EQ(got.warm_by_assignment, !cluster.health_check);
  EXPECT_EQ(got.warm_time,
            cluster.health_check
                ? std::clamp<std::chrono::seconds>(cluster.health_check->timeout,
                                                   std::chrono::seconds(1), std::chrono::hours(1))
                : std::chrono::seconds(0));
  EXPECT_EQ(got.assignment, "default/kuard");
}

constexpr const char* kPlain = "da39a3ee5e";

INSTANTIATE_TEST_SUITE_P(
    Spec, TranslateClusterTest,
    testing::Values(
        Case{"simple", [](auto*) {}, kPlain, ""},
        Case{"h2c", [](auto* c) { c->protocol = graph::Protocol::kH2C; }, kPlain, kHTTP2},
        Case{"h2", [](auto* c) { c->protocol = graph::Protocol::kH2; }, kPlain,
             TLS("alpn_protocols: 'h2'") + kHTTP2},
        Case{"tls", [](auto* c) { c->protocol = graph::Protocol::kTLS; }, kPlain, TLS("")},
        Case{"tls_verified",
             [](auto* c) {
               c->protocol = graph::Protocol::kTLS;
               c->validation = graph::UpstreamValidation{"foo", "PEM", "subjname"};
             },
             "98c0f31c72", TLS(R"(validation_context {
                 trusted_ca { inline_bytes: "PEM" }
                 match_typed_subject_alt_names { san_type: DNS matcher { exact: "subjname" } } })")},
        Case{"max_connections", [](auto* c) { c->circuit_breakers.max_connections = 9000; }, kPlain,
             "circuit_breakers { thresholds { max_connections { value: 9000 } } }"},
        Case{"max_pending_requests",
             [](auto* c) { c->circuit_breakers.max_pending_requests = 4096; }, kPlain,
             "circuit_breakers { thresholds { max_pending_requests { value: 4096 } } }"},
        Case{"max_requests", [](auto* c) { c->circuit_breakers.max_requests = 404; }, kPlain,
             "circuit_breakers { thresholds { max_requests { value: 404 } } }"},
        Case{"max_retries", [](auto* c) { c->circuit_breakers.max_retries = 7; }, kPlain,
             "circuit_breakers { thresholds { max_retries { value: 7 } } }"},
        Case{"per_host", [](auto* c) { c->circuit_breakers.per_host_max_connections = 8; }, kPlain,
             "circuit_breakers { per_host_thresholds { max_connections { value: 8 } } }"},
        Case{"zero_limits", [](auto* c) { c->circuit_breakers = {0, 0, 0, 0, 0}; }, kPlain, ""},
        Case{"all_limits", [](auto* c) { c->circuit_breakers = {4294967295, 0, 2, 3, {}}; }, kPlain,
             R"(circuit_breakers { thresholds { max_connections { value: 4294967295 }
                max_requests { value: 2 } max_retries { value: 3 } } })"},
        Case{"round_robin",
             [](auto* c) { c->load_balancing = graph::ParseLoadBalancing({"RoundRobin"}); },
             "f3b72af6a9", ""},
        Case{"least_request",
             [](auto* c) {
               c->load_balancing = graph::ParseLoadBalancing({"WeightedLeastRequest"});
             },
             "8bf87fefba", "lb_policy: LEAST_REQUEST"},
        Case{"random", [](auto* c) { c->load_balancing = graph::ParseLoadBalancing({"Random"}); },
             "58d888c08a", "lb_policy: RANDOM"},
        Case{"cookie", [](auto* c) { c->load_balancing = graph::ParseLoadBalancing({"Cookie"}); },
             "e4f81994fe", "lb_policy: RING_HASH"},
        Case{"unknown_strategy",
             [](auto* c) { c->load_balancing = graph::ParseLoadBalancing({"lulz"}); }, "86d7a9c129",
             ""},
        Case{"health_check",
             [](auto* c) {
               c->health_check.emplace();
               c->health_check->path = "/healthz";
               c->health_check->host = "contour-envoy-healthcheck";
             },
             "bc862a33ca", R"(
             health_checks { timeout { seconds: 2 } interval { seconds: 10 }
               unhealthy_threshold { value: 3 } healthy_threshold { value: 2 }
               http_health_check { path: "/healthz" host: "contour-envoy-healthcheck" } }
             ignore_health_on_host_removal: true)"},
        Case{"health_check_explicit",
             [](auto* c) {
               using std::chrono::seconds;
               c->health_check = graph::HealthCheck{
                   "/healthy", "foo-bar-host", seconds(98), seconds(99), 97, 96, 98, 99, 97, 96};
             },
             "7f8051653a", R"(
             health_checks { timeout { seconds: 99 } interval { seconds: 98 }
               unhealthy_threshold { value: 97 } healthy_threshold { value: 96 }
               http_health_check { path: "/healthy" host: "foo-bar-host" } }
             ignore_health_on_host_removal: true)"},
        Case{"health_check_odd",
             [](auto* c) {
               c->health_check.emplace();
               c->health_check->interval = std::chrono::seconds::min();
               c->health_check->timeout = std::chrono::seconds::max();
               c->health_check->unhealthy_threshold = 0;
               c->health_check->healthy_threshold = 4294967295;
             },
             kPlain, R"(
             health_checks { timeout { seconds: 3153600000 } interval { seconds: 1 }
               unhealthy_threshold { } healthy_threshold { value: 4294967295 }
               http_health_check { path: "/" } }
             ignore_health_on_host_removal: true)"}),
    [](const auto& c) { return std::string(c.param.name); });

TEST(TranslateClusterOfKindTest, NamedPort) {
  graph::Cluster cluster = TestCluster();
  cluster.port_name = "http";
  const ClusterResource got = TranslateCluster(cluster, ConfigSource::kAds);
  EXPECT_EQ(got.assignment, "default/kuard/http");
  EnvoyCluster message;
  ASSERT_TRUE(message.ParseFromString(got.resource.bytes));
  EXPECT_EQ(message.eds_cluster_config().service_name(), "default/kuard/http");
}

TEST(TranslateClusterOfKindTest, ExternalName) {
  graph::Cluster cluster = TestCluster();
  cluster.external_name = "foo.io";
  const ClusterResource got = TranslateCluster(cluster, ConfigSource::kAds);
  EXPECT_EQ(Difference<EnvoyCluster>(got.resource.bytes, R"(
      name: "default/kuard/80/da39a3ee5e"
      alt_stat_name: "default_kuard_80"
      type: STRICT_DNS
      load_assignment {
        cluster_name: "default/kuard/"
        endpoints { lb_endpoints { endpoint { address { socket_address { address: "foo.io" port_value: 80 } } } } }
      }
      connect_timeout { seconds: 2 }
      common_lb_config { healthy_panic_threshold {} })"),
            "");
  EXPECT_FALSE(got.warm_by_assignment);
  EXPECT_EQ(got.warm_time, std::chrono::seconds(1));
  EXPECT_EQ(got.assignment, std::nullopt);
}

TEST(TranslateClusterOfKindTest, NeverUnverifiedForAnEmptyPart) {
  for (const graph::UpstreamValidation& validation :
       {graph::UpstreamValidation{"ca", "", "name"}, graph::UpstreamValidation{"ca", "PEM", ""}}) {
    graph::Cluster cluster = TestCluster();
    cluster.protocol = graph::Protocol::kTLS;
    cluster.validation = validation;
    EnvoyCluster message;
    ASSERT_TRUE(
        message.ParseFromString(TranslateCluster(cluster, ConfigSource::kAds).resource.bytes));
    ::envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext context;
    ASSERT_TRUE(message.transport_socket().typed_config().UnpackTo(&context));
    EXPECT_TRUE(context.common_tls_context().validation_context().has_trusted_ca());
    EXPECT_EQ(
        context.common_tls_context().validation_context().match_typed_subject_alt_names_size(), 1);
  }
}

TEST(TranslateClusterOfKindTest, ConfigSources) {
  const struct {
    ConfigSource source;
    const char* want;
  } cases[] = {{ConfigSource::kGrpc, "GRPC"}, {ConfigSource::kDeltaGrpc, "DELTA_GRPC"}};
  for (const auto& c : cases) {
    EXPECT_EQ(Difference<EnvoyCluster>(TranslateCluster(TestCluster(), c.source).resource.bytes,
                                       fmt::format(R"(
      name: "default/kuard/80/da39a3ee5e"
      alt_stat_name: "default_kuard_80"
      type: EDS
      eds_cluster_config {{
        eds_config {{
          api_config_source {{
            api_type: {} transport_api_version: V3
            grpc_services {{ envoy_grpc {{ cluster_name: "contour" retry_policy {{ retry_back_off {{
              base_interval {{ nanos: 200000000 }} max_interval {{ seconds: 2 }} }} }} }} }}
          }}
          resource_api_version: V3
        }}
        service_name: "default/kuard"
      }}
      connect_timeout {{ seconds: 2 }}
      common_lb_config {{ healthy_panic_threshold {{}} }})",
                                                   c.want)),
              "");
  }
}

TEST(TranslateClusterOfKindTest, OddTextIsNotLost) {
  graph::Cluster cluster = TestCluster("k\xff");
  cluster.ns = "";
  cluster.external_name = std::string("a\0b\n\xc3", 5);
  cluster.health_check.emplace().path = "/\x01\xff";
  const ClusterResource got = TranslateCluster(cluster, ConfigSource::kAds);
  EnvoyCluster message;
  ASSERT_TRUE(message.ParseFromString(got.resource.bytes));  // checks UTF-8
  EXPECT_EQ(message.name(), got.resource.name);
  EXPECT_EQ(message.load_assignment()
                .endpoints(0)
                .lb_endpoints(0)
                .endpoint()
                .address()
                .socket_address()
                .address(),
            "a\\x00b\\x0a\\xc3");
  EXPECT_EQ(message.health_checks(0).http_health_check().path(), "/\\x01\\xff");
}

TEST(TranslateClusterOfKindTest, IsSmallAndDeterministic) {
  graph::Cluster cluster = TestCluster();
  const std::string bytes = TranslateCluster(cluster, ConfigSource::kAds).resource.bytes;
  EXPECT_EQ(bytes, TranslateCluster(cluster, ConfigSource::kAds).resource.bytes);
  EXPECT_LT(bytes.size(), 100U);  // 10,000 clusters stay below 1 MB
}

}  // namespace
}  // namespace contour::envoy
