// SPDX-License-Identifier: Apache-2.0
#include "envoy/listener.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb.h"
#include "envoy/extensions/compression/gzip/compressor/v3/gzip.pb.h"
#include "envoy/extensions/filters/http/compressor/v3/compressor.pb.h"
#include "envoy/extensions/filters/http/grpc_web/v3/grpc_web.pb.h"
#include "envoy/extensions/filters/http/health_check/v3/health_check.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol.pb.h"
#include "envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/rbac/v3/rbac.pb.h"
#include "envoy/extensions/filters/network/set_filter_state/v3/set_filter_state.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "envoy/on_demand_secret.pb.h"
#include "envoy/testing.h"
#include "graph/model/certificate.h"

namespace contour::envoy {
namespace {

using ::envoy::config::listener::v3::FilterChain;
using ::envoy::config::listener::v3::Listener;
using ::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using ::envoy::extensions::transport_sockets::tls::v3::DownstreamTlsContext;
using OnDemandSecret =
    ::envoy::extensions::transport_sockets::tls::cert_selectors::on_demand_secret::v3::Config;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr const char* kAds = "ads {} resource_api_version: V3";

std::string FileLog(const std::string& path) {
  return fmt::format(R"(access_log {{
    name: "envoy.access_loggers.file"
    typed_config {{ [type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog] {{
      path: "{}" }} }}
  }})",
                     path);
}

std::string Manager(const std::string& name, const std::string& access_log = "/dev/stdout",
                    const std::string& config_source = kAds) {
  return fmt::format(R"(filters {{
    name: "envoy.filters.network.http_connection_manager"
    typed_config {{ [type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager] {{
      stat_prefix: "{0}"
      rds {{ route_config_name: "{0}" config_source {{ {2} }} }}
      http_filters {{
        name: "envoy.filters.http.compressor"
        typed_config {{ [type.googleapis.com/envoy.extensions.filters.http.compressor.v3.Compressor] {{
          compressor_library {{
            name: "envoy.compression.gzip.compressor"
            typed_config {{ [type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip] {{}} }}
          }} }} }}
      }}
      http_filters {{
        name: "envoy.filters.http.grpc_web"
        typed_config {{ [type.googleapis.com/envoy.extensions.filters.http.grpc_web.v3.GrpcWeb] {{}} }}
      }}
      http_filters {{
        name: "envoy.filters.http.router"
        typed_config {{ [type.googleapis.com/envoy.extensions.filters.http.router.v3.Router] {{}} }}
      }}
      http_protocol_options {{
        accept_http_10: true
        {3}
        ignore_http_11_upgrade {{ prefix: "TLS/" }}
      }}
      http2_protocol_options {{
        max_concurrent_streams {{ value: 100 }}
        initial_stream_window_size {{ value: 1048576 }}
        initial_connection_window_size {{ value: 1048576 }}
      }}
      request_headers_timeout {{ seconds: 60 }}
      common_http_protocol_options {{
        idle_timeout {{ seconds: 60 }}
        max_headers_count {{ value: 1000 }}
      }}
      delayed_close_timeout {{ seconds: 30 }}
      strip_trailing_host_dot: true
      use_remote_address {{ value: true }}
      normalize_path {{ value: true }}
      preserve_external_request_id: true
      {1}
    }} }}
  }})",
                     name, FileLog(access_log), config_source,
                     name == "ingress_http" ? "default_host_for_http_10: 'host.invalid'" : "");
}

std::string TLS(const std::string& minimum, const std::string& alpn,
                const std::string& maximum = "TLSv1_3", const std::string& more_suites = "") {
  return fmt::format(R"(transport_socket {{
    name: "envoy.transport_sockets.tls"
    typed_config {{ [type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext] {{
      common_tls_context {{
        tls_params {{
          tls_minimum_protocol_version: {}
          tls_maximum_protocol_version: {}
          cipher_suites: "[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]"
          cipher_suites: "[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]"
          cipher_suites: "ECDHE-ECDSA-AES256-GCM-SHA384"
          cipher_suites: "ECDHE-RSA-AES256-GCM-SHA384"
          {}
        }}
        tls_certificate_sds_secret_configs {{ name: "default/secret" sds_config {{ {} }} }}
        {}
      }}
    }} }}
  }}
  transport_socket_connect_timeout {{ seconds: 15 }})",
                     minimum, maximum, more_suites, kAds, alpn);
}
constexpr const char* kOldSuites = R"(
          cipher_suites: "ECDHE-ECDSA-AES128-SHA" cipher_suites: "ECDHE-RSA-AES128-SHA"
          cipher_suites: "ECDHE-ECDSA-AES256-SHA" cipher_suites: "ECDHE-RSA-AES256-SHA")";
// The filter before the others where a host has TLS settings of its own.
std::string TLSHost(const std::string& host) {
  return fmt::format(R"(filters {{
    name: "envoy.filters.network.set_filter_state"
    typed_config {{ [type.googleapis.com/envoy.extensions.filters.network.set_filter_state.v3.Config] {{
      on_new_connection {{
        object_key: "projectcontour.io.tls_host" factory_key: "envoy.string"
        format_string {{ text_format_source {{ inline_string: "{}" }} }}
      }} }} }}
  }})",
                     host);
}
constexpr const char* kHTTPAlpn = R"(alpn_protocols: "h2" alpn_protocols: "http/1.1")";

std::string TCPProxy(const std::string& clusters) {
  return fmt::format(R"(filters {{
    name: "envoy.filters.network.tcp_proxy"
    typed_config {{ [type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy] {{
      stat_prefix: "ingress_https"
      {}
      idle_timeout {{ seconds: 9001 }}
      max_connect_attempts {{ value: 3 }}
      {}
    }} }}
  }})",
                     clusters, FileLog("/dev/stdout"));
}

std::string Address(const std::string& address, int port, const std::string& more = "") {
  return fmt::format("address {{ socket_address {{ address: '{}' port_value: {} {} }} }}", address,
                     port, more);
}

constexpr const char* kProxyProtocol = R"(listener_filters {
    name: "envoy.filters.listener.proxy_protocol"
    typed_config { [type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol] {} }
  })";
constexpr const char* kTLSInspector = R"(listener_filters {
    name: "envoy.filters.listener.tls_inspector"
    typed_config { [type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector] {} }
  })";

// ---- Listeners ----

TEST(HTTPListenerTest, Default) {
  const Resource got = HTTPListener({});
  EXPECT_EQ(got.name, "ingress_http");
  EXPECT_THAT(got.clusters, IsEmpty());
  EXPECT_EQ(
      Difference<Listener>(
          got.bytes, fmt::format("name: 'ingress_http' {} {} filter_chains {{ {} }}",
                                 Address("0.0.0.0", 8080), kKeepalive, Manager("ingress_http"))),
      "");
}

TEST(HTTPListenerTest, Options) {
  ListenerOptions options;
  options.http_address = "::";
  options.http_port = 9000;
  options.http_access_log = "/tmp/http.log";
  options.use_proxy_protocol = true;
  options.config_source = ConfigSource::kGrpc;
  EXPECT_EQ(Difference<Listener>(
                HTTPListener(options).bytes,
                fmt::format("name: 'ingress_http' {} {} {} filter_chains {{ {} }}",
                            Address("::", 9000, "ipv4_compat: true"), kKeepalive, kProxyProtocol,
                            Manager("ingress_http", "/tmp/http.log",
                                    R"(resource_api_version: V3 api_config_source {
                                         api_type: GRPC transport_api_version: V3
                                         grpc_services { envoy_grpc { cluster_name: "contour" retry_policy { retry_back_off {
                                           base_interval { nanos: 200000000 } max_interval { seconds: 2 } } } } } })"))),
            "");
}

TEST(HTTPSListenerTest, Head) {
  EXPECT_EQ(HTTPSListenerHead({}).name, "ingress_https");
  EXPECT_EQ(Difference<Listener>(HTTPSListenerHead({}).bytes,
                                 fmt::format("name: 'ingress_https' {} {} {}", kKeepalive,
                                             Address("0.0.0.0", 8443), kTLSInspector)),
            "");
  ListenerOptions options;
  options.https_address = "fd00::1";
  options.https_port = 9443;
  options.use_proxy_protocol = true;
  EXPECT_EQ(
      Difference<Listener>(HTTPSListenerHead(options).bytes,
                           fmt::format("name: 'ingress_https' {} {} {} {}", kKeepalive,
                                       Address("fd00::1", 9443), kProxyProtocol, kTLSInspector)),
      "");
}

TEST(StatsListenerTest, Default) {
  ListenerOptions options;
  options.use_proxy_protocol = true;  // not here
  const Resource got = StatsListener(options);
  EXPECT_EQ(got.name, "stats-health");
  EXPECT_EQ(Difference<Listener>(got.bytes, fmt::format(R"(
      name: "stats-health" ignore_global_conn_limit: true {}
      filter_chains {{ filters {{
        name: "envoy.filters.network.http_connection_manager"
        typed_config {{ [type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager] {{
          stat_prefix: "stats"
          route_config {{ virtual_hosts {{
            name: "backend" domains: "*"
            routes {{ match {{ prefix: "/stats" }} route {{ cluster: "service-stats" timeout {{}} }} }}
          }} }}
          http_filters {{
            name: "envoy.filters.http.health_check"
            typed_config {{ [type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck] {{
              pass_through_mode {{ value: false }}
              headers {{ name: ":path" string_match {{ exact: "/healthz" }} }}
            }} }}
          }}
          http_filters {{
            name: "envoy.filters.http.router"
            typed_config {{ [type.googleapis.com/envoy.extensions.filters.http.router.v3.Router] {{}} }}
          }}
          normalize_path {{ value: true }}
          delayed_close_timeout {{ seconds: 30 }}
        }} }}
      }} }})",
                                                        Address("0.0.0.0", 8002))),
            "");
}

// ---- Filter chains ----

graph::VirtualHost Host(bool with_secret = true) {
  graph::VirtualHost host;
  host.host = "www.example.com";
  host.At(graph::kHTTPSListener);
  if (with_secret)
    host.At(graph::kHTTPSListener).secret = std::make_shared<const graph::ServingSecret>(
        graph::ServingSecret{"default", "secret", "CERTIFICATE", "KEY"});
  return host;
}

Resource Chain(const graph::VirtualHost& host, const ListenerOptions& options = {}) {
  return TranslateFilterChain(host, options).value_or(Resource{"missing", "", {}});
}

std::string ChainText(const std::string& rest) {
  return "name: 'www.example.com' filter_chain_match { server_names: 'www.example.com' } " + rest;
}

TEST(FilterChainTest, HTTP) {
  const Resource got = Chain(Host());
  EXPECT_EQ(got.name, "www.example.com");
  EXPECT_THAT(got.clusters, IsEmpty());
  EXPECT_EQ(Difference<FilterChain>(
                got.bytes, ChainText(TLS("TLSv1_2", kHTTPAlpn) + Manager("ingress_https"))),
            "");
  EXPECT_EQ(got.bytes.find("KEY"), std::string::npos);
}

TEST(FilterChainTest, TheHigherMinimumVersionWins) {
  using graph::TLSVersion;
  const struct {
    TLSVersion all, host;
    const char* want;
    bool own;
  } cases[] = {
      {TLSVersion::k1_1, TLSVersion::k1_1, "TLSv1_1", false},
      {TLSVersion::k1_1, TLSVersion::k1_2, "TLSv1_2", true},
      {TLSVersion::k1_2, TLSVersion::k1_1, "TLSv1_2", false},
      {TLSVersion::k1_3, TLSVersion::k1_2, "TLSv1_3", false},
      {TLSVersion::k1_2, TLSVersion::k1_3, "TLSv1_3", true},
  };
  for (const auto& c : cases) {
    graph::VirtualHost host = Host();
    host.At(graph::kHTTPSListener).minimum_version = c.host;
    ListenerOptions options;
    options.minimum_tls_version = c.all;
    const std::string suites = c.want == std::string("TLSv1_1") ? kOldSuites : "";
    EXPECT_EQ(Difference<FilterChain>(
                  Chain(host, options).bytes,
                  ChainText(TLS(c.want, kHTTPAlpn, "TLSv1_3", suites) +
                            (c.own ? TLSHost("www.example.com") : "") + Manager("ingress_https"))),
              "");
    EXPECT_EQ(TakesOwnConnectionsOnly(host, options), c.own);
  }
}

TEST(FilterChainTest, TheMaximumVersionNeverUndercutsTheMinimum) {
  using graph::TLSVersion;
  const struct {
    TLSVersion all, host, maximum;
    const char *want, *want_maximum;
    bool own;
  } cases[] = {
      {TLSVersion::k1_2, TLSVersion::k1_2, TLSVersion::k1_2, "TLSv1_2", "TLSv1_2", true},
      {TLSVersion::k1_2, TLSVersion::k1_3, TLSVersion::k1_2, "TLSv1_3", "TLSv1_3", true},
      {TLSVersion::k1_3, TLSVersion::k1_2, TLSVersion::k1_2, "TLSv1_3", "TLSv1_3", false},
  };
  for (const auto& c : cases) {
    graph::VirtualHost host = Host();
    host.At(graph::kHTTPSListener).minimum_version = c.host;
    host.At(graph::kHTTPSListener).maximum_version = c.maximum;
    ListenerOptions options;
    options.minimum_tls_version = c.all;
    EXPECT_EQ(Difference<FilterChain>(
                  Chain(host, options).bytes,
                  ChainText(TLS(c.want, kHTTPAlpn, c.want_maximum) +
                            (c.own ? TLSHost("www.example.com") : "") + Manager("ingress_https"))),
              "");
  }
}

TEST(FilterChainTest, IsSharedByPlainHostsWithTheUsualSettings) {
  using graph::TLSVersion;
  graph::VirtualHost usual = Host();
  EXPECT_TRUE(ShareFilterChain(usual, {}));
  graph::VirtualHost host = usual;
  host.At(graph::kHTTPSListener).minimum_version = TLSVersion::k1_3;
  EXPECT_FALSE(ShareFilterChain(host, {}));
  EXPECT_TRUE(ShareFilterChain(host, {.minimum_tls_version = TLSVersion::k1_3}));
  host = usual;
  host.At(graph::kHTTPSListener).maximum_version = TLSVersion::k1_2;
  EXPECT_FALSE(ShareFilterChain(host, {}));
  host = usual;
  host.At(graph::kHTTPSListener).tcp_proxy = graph::TCPProxy{{Weighted("kuard")}};
  EXPECT_FALSE(ShareFilterChain(host, {}));
  host.At(graph::kHTTPSListener).secret = nullptr;  // passthrough
  EXPECT_FALSE(ShareFilterChain(host, {}));
  host.listeners.clear();
  EXPECT_FALSE(ShareFilterChain(host, {}));
  for (const char* name : {"*", "*.example.com", "a.*.example.com", ""}) {
    host = usual;
    host.host = name;
    EXPECT_FALSE(ShareFilterChain(host, {})) << name;
    EXPECT_EQ(TakesOwnConnectionsOnly(host, {}), host.host == "*.example.com") << name;
  }
}

// The certificate selector of a chain, and the other settings of its TLS context.
std::pair<OnDemandSecret, DownstreamTlsContext> Selector(const FilterChain& chain) {
  DownstreamTlsContext context;
  EXPECT_TRUE(chain.transport_socket().typed_config().UnpackTo(&context));
  OnDemandSecret selector;
  EXPECT_TRUE(
      context.common_tls_context().custom_tls_certificate_selector().typed_config().UnpackTo(
          &selector));
  return {selector, context};
}

TEST(FilterChainTest, TheSharedOneFetchesCertificatesByServerName) {
  const ListenerOptions options{.delivery = Delivery::kShardedHTTPS};
  const HostLookup lookup{.wildcards = true, .any_host = true};
  const Resource got = SharedFilterChain(options, lookup);
  EXPECT_EQ(got.name, kSharedFilterChain);
  FilterChain message;
  ASSERT_TRUE(message.ParseFromString(got.bytes));
  EXPECT_FALSE(message.has_filter_chain_match());  // after those with a server name
  EXPECT_EQ(message.transport_socket_connect_timeout().seconds(), 15);
  const auto [selector, context] = Selector(message);
  EXPECT_TRUE(context.disable_stateless_session_resumption());
  EXPECT_TRUE(context.disable_stateful_session_resumption());
  EXPECT_EQ(context.common_tls_context().tls_certificate_sds_secret_configs_size(), 0);
  EXPECT_EQ(selector.certificate_mapper().typed_config().type_url(),
            "type.googleapis.com/envoy.extensions.transport_sockets.tls.cert_mappers.sni.v3.SNI");
  EXPECT_EQ(selector.prefetch_secret_names_size(), 0);
  EXPECT_TRUE(selector.config_source().has_ads());
  // The rest is equal to a chain of its own.
  FilterChain own;
  ASSERT_TRUE(own.ParseFromString(TranslateFilterChain(Host(), options, lookup)->bytes));
  ASSERT_EQ(message.filters_size(), 1);
  EXPECT_EQ(message.filters(0).SerializeAsString(), own.filters(0).SerializeAsString());
  DownstreamTlsContext own_context;
  ASSERT_TRUE(own.transport_socket().typed_config().UnpackTo(&own_context));
  EXPECT_EQ(own_context.common_tls_context().tls_params().SerializeAsString(),
            context.common_tls_context().tls_params().SerializeAsString());

  HttpConnectionManager manager;
  ASSERT_TRUE(message.filters(0).typed_config().UnpackTo(&manager));
  const auto& scoped = manager.scoped_routes();
  EXPECT_EQ(scoped.name(), "ingress_https");
  ASSERT_EQ(scoped.scope_key_builder().fragments_size(), 2);
  EXPECT_EQ(scoped.scope_key_builder().fragments(1).header_value_extractor().name(),
            "x-forwarded-proto");
  EXPECT_TRUE(manager.use_remote_address().value());  // else a client could say what it is
}

TEST(ListenerTest, CertificatesAreFetchedByOneThatBindsNoPort) {
  const Resource got = CertificatesListener("certificates/01", {"A.example", "b.example"}, {});
  EXPECT_EQ(got.name, "certificates/01");
  Listener message;
  ASSERT_TRUE(message.ParseFromString(got.bytes));
  EXPECT_FALSE(message.bind_to_port().value());
  EXPECT_TRUE(message.has_bind_to_port());
  ASSERT_EQ(message.filter_chains_size(), 1);
  EXPECT_THAT(Selector(message.filter_chains(0)).first.prefetch_secret_names(),
              ElementsAre("a.example", "b.example"));
}

// Envoy's filter chain takes server names of any number of labels.
TEST(FilterChainTest, AWildcardClosesConnectionsOfNamesThatItDoesntTake) {
  graph::VirtualHost host = Host();
  host.host = "*.Example.com";
  for (const Delivery delivery : {Delivery::kClassic, Delivery::kShardedHTTPS}) {
    FilterChain message;
    ASSERT_TRUE(message.ParseFromString(TranslateFilterChain(host, {.delivery = delivery})->bytes));
    FilterChain want;
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(R"(filters {
      name: "envoy.filters.network.rbac"
      typed_config { [type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC] {
        stat_prefix: "ingress_https."
        rules { policies {
          key: "server names of the wildcard"
          value {
            permissions { requested_server_name { safe_regex {
              regex: "[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?\\.example\\.com" } } }
            principals { any: true }
          }
        } }
      } }
    })",
                                                              &want));
    EXPECT_EQ(message.filters(0).SerializeAsString(), want.filters(0).SerializeAsString());
  }
  host.host = "www.example.com";
  EXPECT_EQ(Chain(host).bytes.find("rbac"), std::string::npos);
}

TEST(FilterChainTest, HostsWithOwnSettingsAreFoundByTheirPattern) {
  graph::VirtualHost host = Host();
  host.host = "*.Example.com";
  host.At(graph::kHTTPSListener).minimum_version = graph::TLSVersion::k1_3;
  FilterChain message;
  ASSERT_TRUE(message.ParseFromString(Chain(host).bytes));
  FilterChain want;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(TLSHost("*.example.com"), &want));
  EXPECT_EQ(message.filters(1).SerializeAsString(), want.filters(0).SerializeAsString());
  host.At(graph::kHTTPSListener).secret = nullptr;  // passthrough: nothing of contour's
  EXPECT_FALSE(TakesOwnConnectionsOnly(host, {}));
  host.listeners.clear();
  EXPECT_FALSE(TakesOwnConnectionsOnly(host, {}));
}

TEST(FilterChainTest, TCPProxyBehindTLSHasNoAlpn) {
  graph::VirtualHost host = Host();
  host.At(graph::kHTTPSListener).tcp_proxy = graph::TCPProxy{{Weighted("kuard", 7)}};
  const Resource got = Chain(host);
  EXPECT_EQ(Difference<FilterChain>(
                got.bytes,
                ChainText(TLS("TLSv1_2", "") + TCPProxy("cluster: 'default/kuard/80/da39a3ee5e'"))),
            "");
  EXPECT_THAT(got.clusters, ElementsAre("default/kuard/80/da39a3ee5e"));
}

TEST(FilterChainTest, PassthroughHasNoTLS) {
  graph::VirtualHost host = Host(false);
  host.At(graph::kHTTPSListener).tcp_proxy =
      graph::TCPProxy{{Weighted("b"), Weighted("a"), Weighted("a")}};
  const Resource got = Chain(host);
  EXPECT_EQ(Difference<FilterChain>(got.bytes, ChainText(TCPProxy(R"(weighted_clusters {
      clusters { name: "default/a/80/da39a3ee5e" weight: 1 }
      clusters { name: "default/a/80/da39a3ee5e" weight: 1 }
      clusters { name: "default/b/80/da39a3ee5e" weight: 1 } })"))),
            "");
  EXPECT_THAT(got.clusters, ElementsAre("default/a/80/da39a3ee5e", "default/b/80/da39a3ee5e"));
}

TEST(FilterChainTest, TCPProxyWithoutShareGetsNothing) {
  graph::VirtualHost host = Host(false);
  host.At(graph::kHTTPSListener).tcp_proxy = graph::TCPProxy{{Weighted("b", 50), Weighted("a", 0)}};
  const Resource got = Chain(host);
  EXPECT_EQ(
      Difference<FilterChain>(got.bytes, ChainText(TCPProxy("cluster: 'default/b/80/da39a3ee5e'"))),
      "");
  EXPECT_THAT(got.clusters, ElementsAre("default/b/80/da39a3ee5e"));
  host.At(graph::kHTTPSListener).tcp_proxy =
      graph::TCPProxy{{Weighted("b", 50), Weighted("a", 10)}};
  EXPECT_EQ(Difference<FilterChain>(Chain(host).bytes, ChainText(TCPProxy(R"(weighted_clusters {
      clusters { name: "default/a/80/da39a3ee5e" weight: 10 }
      clusters { name: "default/b/80/da39a3ee5e" weight: 50 } })"))),
            "");
}

TEST(FilterChainTest, ServerNamesAreLowerCase) {
  graph::VirtualHost host = Host();
  host.host = "*.Example.COM";
  const Resource got = Chain(host);
  EXPECT_EQ(got.name, "*.Example.COM");
  FilterChain message;
  ASSERT_TRUE(message.ParseFromString(got.bytes));
  EXPECT_THAT(message.filter_chain_match().server_names(), ElementsAre("*.example.com"));
}

TEST(FilterChainTest, IsAbsentWhereNothingCanBeServed) {
  EXPECT_FALSE(TranslateFilterChain(Host(false), {}));
  graph::VirtualHost host = Host();
  for (const char* name : {"", "*", "*.", "*foo.com", "foo.*", "*.foo.*"}) {
    host.host = name;
    EXPECT_FALSE(TranslateFilterChain(host, {})) << name;
  }
  host.host = "www.example.com";
  EXPECT_TRUE(TranslateFilterChain(host, {}));
  host.At(graph::kHTTPSListener).tcp_proxy.emplace();
  EXPECT_FALSE(TranslateFilterChain(host, {}));
  host.listeners.clear();
  EXPECT_FALSE(TranslateFilterChain(host, {}));
}

TEST(FilterChainTest, AssemblesWithTheHead) {
  std::string bytes = HTTPSListenerHead({}).bytes;
  AppendPart(kFilterChainsField, Chain(Host()).bytes, &bytes);
  EXPECT_EQ(
      Difference<Listener>(
          bytes, fmt::format("name: 'ingress_https' {} {} {} filter_chains {{ {} }}", kKeepalive,
                             Address("0.0.0.0", 8443), kTLSInspector,
                             ChainText(TLS("TLSv1_2", kHTTPAlpn) + Manager("ingress_https")))),
      "");
  EXPECT_EQ(Chain(Host()).bytes, Chain(Host()).bytes);
}

TEST(FilterChainTest, OddTextIsNotLost) {
  graph::VirtualHost host = Host();
  host.host = "a\xff\n.example.com";
  ListenerOptions options;
  options.https_access_log = "/tmp/\xff";
  FilterChain message;
  ASSERT_TRUE(message.ParseFromString(Chain(host, options).bytes));
  EXPECT_THAT(message.filter_chain_match().server_names(), ElementsAre("a\\xff\\x0a.example.com"));
}

}  // namespace
}  // namespace contour::envoy
