// SPDX-License-Identifier: Apache-2.0
#include "envoy/bootstrap.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <iterator>
#include <string>
#include <vector>

#include "base/status.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb.h"
#include "envoy/extensions/resource_monitors/downstream_connections/v3/downstream_connections.pb.h"
#include "envoy/extensions/resource_monitors/fixed_heap/v3/fixed_heap.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"
#include "envoy/message.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "envoy/testing.h"

namespace contour::envoy {
namespace {

using ::envoy::config::bootstrap::v3::Bootstrap;
using ::envoy::extensions::transport_sockets::tls::v3::Secret;
using ::envoy::service::discovery::v3::DiscoveryResponse;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kLimits =
    "max_connections { value: 100000 } max_pending_requests { value: 100000 } "
    "max_requests { value: 60000000 } max_retries { value: 50 }";

std::string Stream(const std::string& type) {
  return fmt::format(R"(
      api_type: {} transport_api_version: V3 set_node_on_first_message_only: true
      grpc_services {{ envoy_grpc {{
        cluster_name: "contour"
        retry_policy {{ retry_back_off {{ base_interval {{ nanos: 200000000 }} max_interval {{ seconds: 2 }} }} }}
      }} }})",
                     type);
}
std::string Ads(const std::string& type) {
  return fmt::format(R"(dynamic_resources {{
      lds_config {{ ads {{}} resource_api_version: V3 }}
      cds_config {{ ads {{}} resource_api_version: V3 }}
      ads_config {{ {} }} }})",
                     Stream(type));
}
std::string PerType(const std::string& type) {
  return fmt::format(R"(dynamic_resources {{
      lds_config {{ api_config_source {{ {0} }} resource_api_version: V3 }}
      cds_config {{ api_config_source {{ {0} }} resource_api_version: V3 }} }})",
                     Stream(type));
}

struct Want {
  std::string dynamic_resources = Ads("DELTA_GRPC");
  std::string type = "STATIC";
  std::string xds_address = "127.0.0.1";
  int xds_port = 8001;
  std::string tls;
  std::string admin_address = "127.0.0.1";
  int admin_port = 9001;
  std::string ns = "heptio-contour";
  std::string node = "cluster: 'contour'";
  std::string overload;
};

std::string Text(const Want& want) {
  return fmt::format(
      R"({dynamic}
      static_resources {{
        clusters {{
          name: "contour" alt_stat_name: "{ns}_contour_{xds_port}" type: {type} connect_timeout {{ seconds: 5 }}
          load_assignment {{ cluster_name: "contour" endpoints {{ lb_endpoints {{ endpoint {{
            address {{ socket_address {{ address: "{xds_address}" port_value: {xds_port} }} }} }} }} }} }}
          typed_extension_protocol_options {{
            key: "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
            value {{ [type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions] {{
              explicit_http_config {{ http2_protocol_options {{ connection_keepalive {{
                interval {{ seconds: 5 }} timeout {{ seconds: 10 }} }} }} }} }} }}
          }}
          circuit_breakers {{ thresholds {{ priority: HIGH {limits} }} thresholds {{ {limits} }} }}
          upstream_connection_options {{ tcp_keepalive {{ keepalive_probes {{ value: 3 }}
            keepalive_time {{ value: 30 }} keepalive_interval {{ value: 5 }} }} }}
          upstream_bind_config {{}}
          {tls}
        }}
        clusters {{
          name: "service-stats" alt_stat_name: "{ns}_service-stats_{admin_port}" type: LOGICAL_DNS
          connect_timeout {{ nanos: 250000000 }}
          load_assignment {{ cluster_name: "service-stats" endpoints {{ lb_endpoints {{ endpoint {{
            address {{ socket_address {{ address: "{admin_address}" port_value: {admin_port} }} }} }} }} }} }}
          upstream_bind_config {{}}
        }}
      }}
      cluster_manager {{ upstream_bind_config {{ {keepalive} }} }}
      admin {{
        address {{ socket_address {{ address: "{admin_address}" port_value: {admin_port} }} }}
        ignore_global_conn_limit: true
        access_log {{ name: "envoy.access_loggers.file"
          typed_config {{ [type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog] {{
            path: "/dev/null" }} }} }}
      }}
      stats_flush_on_admin: true
      node {{ {node} }}
      layered_runtime {{
        layers {{ name: "contour" static_layer {{
          fields {{ key: "envoy.reloadable_features.max_response_headers_count" value {{ number_value: 10000 }} }}
          fields {{ key: "envoy.reloadable_features.max_response_headers_size_kb" value {{ number_value: 256 }} }}
          fields {{ key: "http.max_requests_per_io_cycle" value {{ number_value: 5 }} }}
          fields {{ key: "re2.max_program_size.error_level" value {{ number_value: 1048576 }} }}
          fields {{ key: "re2.max_program_size.warn_level" value {{ number_value: 1048576 }} }}
        }} }}
        layers {{ name: "admin" admin_layer {{}} }}
      }}
      {overload})",
      fmt::arg("dynamic", want.dynamic_resources), fmt::arg("ns", want.ns),
      fmt::arg("type", want.type), fmt::arg("xds_address", want.xds_address),
      fmt::arg("xds_port", want.xds_port), fmt::arg("limits", kLimits), fmt::arg("tls", want.tls),
      fmt::arg("admin_address", want.admin_address), fmt::arg("admin_port", want.admin_port),
      fmt::arg("keepalive", kKeepalive), fmt::arg("node", want.node),
      fmt::arg("overload", want.overload));
}

// Returns "" if the JSON is the wanted message, else the differences.
std::string Compare(const BootstrapOptions& options, const Want& want) {
  const absl::StatusOr<std::string> json = BootstrapJSON(options);
  if (!json.ok()) return json.status().ToString();
  Bootstrap message;
  const auto status = google::protobuf::util::JsonStringToMessage(*json, &message);
  if (!status.ok()) return status.ToString();
  return Difference<Bootstrap>(Serialize(message), Text(want));
}

TEST(BootstrapTest, Default) { EXPECT_EQ(Compare({}, {}), ""); }

TEST(BootstrapTest, Modes) {
  const struct {
    const char* name;
    std::string want;
  } cases[] = {
      {"delta-ads", Ads("DELTA_GRPC")},
      {"sotw-ads", Ads("GRPC")},
      {"delta", PerType("DELTA_GRPC")},
      {"sotw", PerType("GRPC")},
  };
  for (const auto& c : cases) {
    const absl::StatusOr<BootstrapMode> mode = ParseBootstrapMode(c.name);
    ASSERT_TRUE(mode.ok()) << mode.status();
    BootstrapOptions options;
    options.mode = *mode;
    Want want;
    want.dynamic_resources = c.want;
    EXPECT_EQ(Compare(options, want), "") << c.name;
  }
  EXPECT_EQ(Message(ParseBootstrapMode("ads").status()),
            "expected delta-ads, sotw-ads, delta or sotw, got \"ads\"");
}

TEST(BootstrapTest, Addresses) {
  BootstrapOptions options;
  options.admin_address = "::1";
  options.admin_port = 9200;
  options.xds_address = "contour.example.svc";
  options.xds_port = 9000;
  options.ns = "other";
  Want want;
  want.type = "STRICT_DNS";
  want.admin_address = "::1";
  want.admin_port = 9200;
  want.xds_address = "contour.example.svc";
  want.xds_port = 9000;
  want.ns = "other";
  EXPECT_EQ(Compare(options, want), "");
}

TEST(BootstrapTest, TLS) {
  BootstrapOptions options;
  options.ca_file = "/certs/ca.crt";
  options.cert_file = "/certs/tls.crt";
  options.key_file = "/certs/tls.key";
  Want want;
  want.tls = R"(transport_socket {
    name: "envoy.transport_sockets.tls"
    typed_config { [type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext] {
      common_tls_context {
        tls_certificates { certificate_chain { filename: "/certs/tls.crt" } private_key { filename: "/certs/tls.key" } }
        validation_context {
          trusted_ca { filename: "/certs/ca.crt" }
          match_typed_subject_alt_names { san_type: DNS matcher { exact: "contour" } }
        } } } } })";
  EXPECT_EQ(Compare(options, want), "");
}

BootstrapOptions WithResources() {
  BootstrapOptions options;
  options.ca_file = "/ca/ca.crt";
  options.cert_file = "/certs/tls.crt";
  options.key_file = "/certs/tls.key";
  options.resources_dir = "/resources";
  return options;
}

TEST(BootstrapTest, TLSByFilesThatCanBeRenewed) {
  Want want;
  want.tls = R"(transport_socket {
    name: "envoy.transport_sockets.tls"
    typed_config { [type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext] {
      common_tls_context {
        tls_certificate_sds_secret_configs { name: "contour_xds_tls_certificate" sds_config {
          path_config_source { path: "/resources/sds/xds-tls-certificate.json" } resource_api_version: V3 } }
        validation_context_sds_secret_config { name: "contour_xds_tls_validation_context" sds_config {
          path_config_source { path: "/resources/sds/xds-validation-context.json" } resource_api_version: V3 } }
      } } } })";
  EXPECT_EQ(Compare(WithResources(), want), "");
}

TEST(BootstrapTest, ResourceFiles) {
  const absl::StatusOr<std::vector<ResourceFile>> files = BootstrapResources(WithResources());
  ASSERT_TRUE(files.ok()) << files.status();
  const struct {
    const char* path;
    const char* secret;
  } want[] = {
      {"/resources/sds/xds-tls-certificate.json",
       R"(name: "contour_xds_tls_certificate" tls_certificate {
            certificate_chain { filename: "/certs/tls.crt" } private_key { filename: "/certs/tls.key" }
            watched_directory { path: "/certs" } })"},
      {"/resources/sds/xds-validation-context.json",
       R"(name: "contour_xds_tls_validation_context" validation_context {
            trusted_ca { filename: "/ca/ca.crt" } watched_directory { path: "/ca" }
            match_typed_subject_alt_names { san_type: DNS matcher { exact: "contour" } } })"},
  };
  ASSERT_EQ(files->size(), std::size(want));
  for (std::size_t i = 0; i < files->size(); ++i) {
    EXPECT_EQ((*files)[i].path, want[i].path);
    DiscoveryResponse response;
    const auto status = google::protobuf::util::JsonStringToMessage((*files)[i].content, &response);
    ASSERT_TRUE(status.ok()) << status.ToString();
    ASSERT_EQ(response.resources_size(), 1);
    Secret secret;
    ASSERT_TRUE(response.resources(0).UnpackTo(&secret));
    EXPECT_EQ(Difference<Secret>(Serialize(secret), want[i].secret), "");
  }
}

TEST(BootstrapTest, WatchesTheFolderOfTheFile) {
  const struct {
    const char* file;
    const char* folder;
  } cases[] = {{"/a/b/c", "\"/a/b\""}, {"/c", "\"/\""}, {"c", "\".\""}, {"a/c", "\"a\""}};
  for (const auto& c : cases) {
    BootstrapOptions options = WithResources();
    options.cert_file = c.file;
    const absl::StatusOr<std::vector<ResourceFile>> files = BootstrapResources(options);
    ASSERT_TRUE(files.ok()) << files.status();
    EXPECT_THAT(files->front().content,
                HasSubstr(fmt::format("\"watched_directory\":{{\"path\":{}}}", c.folder)));
  }
}

TEST(BootstrapTest, NoResourceFilesWithoutTLSOrFolder) {
  BootstrapOptions no_folder = WithResources();
  no_folder.resources_dir = "";
  BootstrapOptions no_tls;
  no_tls.resources_dir = "/resources";
  for (const BootstrapOptions& options : {no_folder, no_tls}) {
    const absl::StatusOr<std::vector<ResourceFile>> files = BootstrapResources(options);
    ASSERT_TRUE(files.ok()) << files.status();
    EXPECT_TRUE(files->empty());
  }
  EXPECT_EQ(Compare(no_tls, {}), "");
}

TEST(BootstrapTest, AdminOnAUnixSocket) {
  BootstrapOptions options;
  options.admin_address = "/admin/admin.sock";
  const absl::StatusOr<std::string> json = BootstrapJSON(options);
  ASSERT_TRUE(json.ok()) << json.status();
  Bootstrap message;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(*json, &message).ok());
  EXPECT_EQ(message.admin().address().pipe().path(), "/admin/admin.sock");
  EXPECT_EQ(message.admin().address().pipe().mode(), 0644U);
  const auto& stats = message.static_resources().clusters(1);
  EXPECT_EQ(stats.type(), ::envoy::config::cluster::v3::Cluster::STATIC);
  EXPECT_EQ(stats.alt_stat_name(), "heptio-contour_service-stats_9001");
  EXPECT_EQ(stats.load_assignment().endpoints(0).lb_endpoints(0).endpoint().address().pipe().path(),
            "/admin/admin.sock");
}

TEST(BootstrapTest, AdminIsNotForOthers) {
  for (const char* address : {"127.0.0.1", "127.1.2.3", "::1", "/a"}) {
    BootstrapOptions options;
    options.admin_address = address;
    EXPECT_TRUE(BootstrapJSON(options).ok()) << address;
  }
  for (const char* address : {"0.0.0.0", "10.0.0.1", "::", "::ffff:10.0.0.1", "localhost",
                              "127.example.com", "admin.sock", ""}) {
    BootstrapOptions options;
    options.admin_address = address;
    const absl::StatusOr<std::string> got = BootstrapJSON(options);
    ASSERT_FALSE(got.ok()) << address;
    EXPECT_EQ(Message(got.status()),
              fmt::format("--admin-address: expected a loopback address (127.0.0.1, ::1) or the "
                          "absolute path of a Unix socket, got \"{}\"",
                          address));
    EXPECT_EQ(BootstrapResources(options).status(), got.status());
  }
  BootstrapOptions options;
  options.admin_address = "/" + std::string(106, 'a');
  EXPECT_TRUE(BootstrapJSON(options).ok());
  options.admin_address += "a";
  EXPECT_EQ(Message(BootstrapJSON(options).status()),
            "--admin-address: the path of a socket has at most 107 bytes, got 108");
}

TEST(BootstrapTest, Node) {
  BootstrapOptions options;
  options.node_id = "envoy-1";
  options.node_cluster = "edge";
  Want want;
  want.node = "id: 'envoy-1' cluster: 'edge'";
  EXPECT_EQ(Compare(options, want), "");
}

TEST(BootstrapTest, Overload) {
  const std::string heap_monitor = R"(resource_monitors {
      name: "envoy.resource_monitors.fixed_heap" typed_config {
        [type.googleapis.com/envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig] {
          max_heap_size_bytes: 5000000000 } } })";
  const std::string connections_monitor = R"(resource_monitors {
      name: "envoy.resource_monitors.global_downstream_max_connections" typed_config {
        [type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig] {
          max_active_downstream_connections: 9000 } } })";
  const std::string heap_actions = R"(
      actions { name: "envoy.overload_actions.shrink_heap"
        triggers { name: "envoy.resource_monitors.fixed_heap" threshold { value: 0.95 } } }
      actions { name: "envoy.overload_actions.stop_accepting_requests"
        triggers { name: "envoy.resource_monitors.fixed_heap" threshold { value: 0.98 } } })";
  const struct {
    std::uint64_t heap;
    std::uint32_t connections;
    std::string want;
  } cases[] = {
      {0, 0, ""},
      {5000000000, 0, heap_monitor + heap_actions},
      {0, 9000, connections_monitor},
      {5000000000, 9000, heap_monitor + connections_monitor + heap_actions},
  };
  for (const auto& c : cases) {
    BootstrapOptions options;
    options.max_heap_bytes = c.heap;
    options.max_downstream_connections = c.connections;
    Want want;
    if (!c.want.empty())
      want.overload =
          fmt::format("overload_manager {{ refresh_interval {{ nanos: 250000000 }} {} }}", c.want);
    EXPECT_EQ(Compare(options, want), "");
  }
}

TEST(BootstrapTest, AllThreeFilesOrNone) {
  for (int given = 1; given < 7; ++given) {
    BootstrapOptions options;
    if (given & 1) options.ca_file = "ca";
    if (given & 2) options.cert_file = "cert";
    if (given & 4) options.key_file = "key";
    const absl::StatusOr<std::string> got = BootstrapJSON(options);
    ASSERT_FALSE(got.ok()) << given;
    EXPECT_EQ(Message(got.status()),
              "You must supply all three TLS parameters - --envoy-cafile, --envoy-cert-file, "
              "--envoy-key-file, or none of them.");
  }
}

TEST(BootstrapTest, IsOneLineInSnakeCase) {
  const absl::StatusOr<std::string> json = BootstrapJSON({});
  ASSERT_TRUE(json.ok());
  EXPECT_THAT(*json, Not(HasSubstr("\n")));
  EXPECT_THAT(*json, HasSubstr(R"("connect_timeout":"0.250s")"));
  EXPECT_THAT(*json, HasSubstr(R"("alt_stat_name":"heptio-contour_contour_8001")"));
  EXPECT_THAT(*json, HasSubstr(R"("node":{"cluster":"contour"})"));
}

TEST(BootstrapTest, OddTextIsNotLost) {
  BootstrapOptions options;
  options.xds_address = "a\"\xff\n";
  options.ns = std::string("\0", 1);
  Want want;
  want.type = "STRICT_DNS";
  want.xds_address = R"(a\"\\xff\\x0a)";
  want.ns = R"(\\x00)";
  EXPECT_EQ(Compare(options, want), "");
}

}  // namespace
}  // namespace contour::envoy
