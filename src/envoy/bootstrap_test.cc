// SPDX-License-Identifier: Apache-2.0
#include "envoy/bootstrap.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <string>

#include "base/status.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"
#include "envoy/message.h"
#include "envoy/testing.h"

namespace contour::envoy {
namespace {

using ::envoy::config::bootstrap::v3::Bootstrap;
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
              explicit_http_config {{ http2_protocol_options {{}} }} }} }}
          }}
          circuit_breakers {{ thresholds {{ priority: HIGH {limits} }} thresholds {{ {limits} }} }}
          upstream_connection_options {{ tcp_keepalive {{ keepalive_probes {{ value: 3 }}
            keepalive_time {{ value: 30 }} keepalive_interval {{ value: 5 }} }} }}
          {tls}
        }}
        clusters {{
          name: "service-stats" alt_stat_name: "{ns}_service-stats_{admin_port}" type: LOGICAL_DNS
          connect_timeout {{ nanos: 250000000 }}
          load_assignment {{ cluster_name: "service-stats" endpoints {{ lb_endpoints {{ endpoint {{
            address {{ socket_address {{ address: "{admin_address}" port_value: {admin_port} }} }} }} }} }} }}
        }}
      }}
      admin {{
        address {{ socket_address {{ address: "{admin_address}" port_value: {admin_port} }} }}
        access_log {{ name: "envoy.access_loggers.file"
          typed_config {{ [type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog] {{
            path: "/dev/null" }} }} }}
      }})",
      fmt::arg("dynamic", want.dynamic_resources), fmt::arg("ns", want.ns),
      fmt::arg("type", want.type), fmt::arg("xds_address", want.xds_address),
      fmt::arg("xds_port", want.xds_port), fmt::arg("limits", kLimits), fmt::arg("tls", want.tls),
      fmt::arg("admin_address", want.admin_address), fmt::arg("admin_port", want.admin_port));
}

// Empty if the JSON is the wanted message.
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
    ConfigSource source;
  } cases[] = {
      {"delta-ads", Ads("DELTA_GRPC"), ConfigSource::kAds},
      {"sotw-ads", Ads("GRPC"), ConfigSource::kAds},
      {"delta", PerType("DELTA_GRPC"), ConfigSource::kDeltaGrpc},
      {"sotw", PerType("GRPC"), ConfigSource::kGrpc},
  };
  for (const auto& c : cases) {
    const absl::StatusOr<BootstrapMode> mode = ParseBootstrapMode(c.name);
    ASSERT_TRUE(mode.ok()) << mode.status();
    EXPECT_EQ(BootstrapModeName(*mode), c.name);
    EXPECT_EQ(ConfigSourceOf(*mode), c.source);
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
  options.admin_address = "fd00::1";
  options.admin_port = 9200;
  options.xds_address = "contour.example.svc";
  options.xds_port = 9000;
  options.ns = "other";
  Want want;
  want.type = "STRICT_DNS";
  want.admin_address = "fd00::1";
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
  EXPECT_THAT(*json, Not(HasSubstr("node\"")));
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
