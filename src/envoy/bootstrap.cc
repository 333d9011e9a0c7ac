// SPDX-License-Identifier: Apache-2.0
#include "envoy/bootstrap.h"

#include <fmt/core.h>
#include <google/protobuf/util/json_util.h>

#include <chrono>

#include "absl/status/status.h"
#include "base/status.h"
#include "envoy/config/accesslog/v3/accesslog.pb.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "envoy/message.h"
#include "envoy/names.h"

namespace contour::envoy {
namespace {

namespace core = ::envoy::config::core::v3;
namespace tls = ::envoy::extensions::transport_sockets::tls::v3;
using EnvoyBootstrap = ::envoy::config::bootstrap::v3::Bootstrap;
using EnvoyCluster = ::envoy::config::cluster::v3::Cluster;
using std::chrono::milliseconds;
using std::chrono::seconds;

struct Mode {
  BootstrapMode mode;
  std::string_view name;
  bool delta;
  bool ads;
};
constexpr Mode kModes[] = {
    {BootstrapMode::kDeltaAds, "delta-ads", true, true},
    {BootstrapMode::kSotwAds, "sotw-ads", false, true},
    {BootstrapMode::kDelta, "delta", true, false},
    {BootstrapMode::kSotw, "sotw", false, false},
};

const Mode& ModeOf(BootstrapMode mode) {
  for (const Mode& candidate : kModes) {
    if (candidate.mode == mode) return candidate;
  }
  return kModes[0];
}

// How a stream is opened, and opened again: Envoy's own back-off of 0.5 to 30 s is too slow for a
// new leader.
void SetStream(bool delta, core::ApiConfigSource* source) {
  source->set_api_type(delta ? core::ApiConfigSource::DELTA_GRPC : core::ApiConfigSource::GRPC);
  source->set_transport_api_version(core::V3);
  source->set_set_node_on_first_message_only(true);
  auto* grpc = source->add_grpc_services()->mutable_envoy_grpc();
  grpc->set_cluster_name(std::string(kContourCluster));
  auto* back_off = grpc->mutable_retry_policy()->mutable_retry_back_off();
  SetDuration(milliseconds(200), back_off->mutable_base_interval());
  SetDuration(seconds(2), back_off->mutable_max_interval());
}

void SetDynamicResources(const Mode& mode, EnvoyBootstrap::DynamicResources* resources) {
  core::ConfigSource* const sources[] = {resources->mutable_lds_config(),
                                         resources->mutable_cds_config()};
  if (mode.ads) SetStream(mode.delta, resources->mutable_ads_config());
  for (core::ConfigSource* source : sources) {
    source->set_resource_api_version(core::V3);
    if (mode.ads) {
      source->mutable_ads();
    } else {
      SetStream(mode.delta, source->mutable_api_config_source());
    }
  }
}

void SetEndpoint(std::string_view name, const std::string& address, std::uint16_t port,
                 EnvoyCluster* cluster) {
  auto* assignment = cluster->mutable_load_assignment();
  assignment->set_cluster_name(std::string(name));
  SetAddress(
      address, port,
      assignment->add_endpoints()->add_lb_endpoints()->mutable_endpoint()->mutable_address());
}

void SetTLS(const BootstrapOptions& options, EnvoyCluster* cluster) {
  tls::UpstreamTlsContext context;
  auto* common = context.mutable_common_tls_context();
  auto* certificate = common->add_tls_certificates();
  certificate->mutable_certificate_chain()->set_filename(Text(options.cert_file));
  certificate->mutable_private_key()->set_filename(Text(options.key_file));
  auto* validation = common->mutable_validation_context();
  validation->mutable_trusted_ca()->set_filename(Text(options.ca_file));
  auto* san = validation->add_match_typed_subject_alt_names();
  san->set_san_type(tls::SubjectAltNameMatcher::DNS);
  san->mutable_matcher()->set_exact("contour");
  auto* socket = cluster->mutable_transport_socket();
  socket->set_name("envoy.transport_sockets.tls");
  Pack(context, socket->mutable_typed_config());
}

void SetContourCluster(const BootstrapOptions& options, EnvoyCluster* cluster) {
  cluster->set_name(std::string(kContourCluster));
  cluster->set_alt_stat_name(Text(fmt::format("{}_contour_{}", options.ns, options.xds_port)));
  cluster->set_type(IsIP(options.xds_address) ? EnvoyCluster::STATIC : EnvoyCluster::STRICT_DNS);
  SetDuration(seconds(5), cluster->mutable_connect_timeout());
  SetEndpoint(kContourCluster, options.xds_address, options.xds_port, cluster);
  SetHTTP2(cluster);
  // Without limits that matter: a stream or request to the control plane must never be refused.
  for (const auto priority : {core::HIGH, core::DEFAULT}) {
    auto* thresholds = cluster->mutable_circuit_breakers()->add_thresholds();
    thresholds->set_priority(priority);
    thresholds->mutable_max_connections()->set_value(100000);
    thresholds->mutable_max_pending_requests()->set_value(100000);
    thresholds->mutable_max_requests()->set_value(60000000);
    thresholds->mutable_max_retries()->set_value(50);
  }
  // A peer that vanished without a word is noticed after 45 s.
  auto* keepalive = cluster->mutable_upstream_connection_options()->mutable_tcp_keepalive();
  keepalive->mutable_keepalive_probes()->set_value(3);
  keepalive->mutable_keepalive_time()->set_value(30);
  keepalive->mutable_keepalive_interval()->set_value(5);
}

void SetStatsCluster(const BootstrapOptions& options, EnvoyCluster* cluster) {
  cluster->set_name(std::string(kServiceStatsCluster));
  cluster->set_alt_stat_name(
      Text(fmt::format("{}_service-stats_{}", options.ns, options.admin_port)));
  cluster->set_type(EnvoyCluster::LOGICAL_DNS);
  SetDuration(milliseconds(250), cluster->mutable_connect_timeout());
  SetEndpoint(kServiceStatsCluster, options.admin_address, options.admin_port, cluster);
}

}  // namespace

std::string_view BootstrapModeName(BootstrapMode mode) { return ModeOf(mode).name; }

absl::StatusOr<BootstrapMode> ParseBootstrapMode(std::string_view name) {
  for (const Mode& mode : kModes) {
    if (mode.name == name) return mode.mode;
  }
  return InvalidArgument("expected delta-ads, sotw-ads, delta or sotw, got \"{}\"", name);
}

ConfigSource ConfigSourceOf(BootstrapMode mode) {
  if (ModeOf(mode).ads) return ConfigSource::kAds;
  return ModeOf(mode).delta ? ConfigSource::kDeltaGrpc : ConfigSource::kGrpc;
}

absl::StatusOr<std::string> BootstrapJSON(const BootstrapOptions& options) {
  const bool none =
      options.ca_file.empty() && options.cert_file.empty() && options.key_file.empty();
  const bool all =
      !options.ca_file.empty() && !options.cert_file.empty() && !options.key_file.empty();
  if (!none && !all) {
    return InvalidArgument(
        "You must supply all three TLS parameters - --envoy-cafile, --envoy-cert-file, "
        "--envoy-key-file, or none of them.");
  }

  EnvoyBootstrap message;
  SetDynamicResources(ModeOf(options.mode), message.mutable_dynamic_resources());
  EnvoyCluster* contour = message.mutable_static_resources()->add_clusters();
  SetContourCluster(options, contour);
  if (all) SetTLS(options, contour);
  SetStatsCluster(options, message.mutable_static_resources()->add_clusters());

  auto* admin = message.mutable_admin();
  SetAddress(options.admin_address, options.admin_port, admin->mutable_address());
  ::envoy::extensions::access_loggers::file::v3::FileAccessLog file;
  file.set_path("/dev/null");
  auto* log = admin->add_access_log();
  log->set_name("envoy.access_loggers.file");
  Pack(file, log->mutable_typed_config());

  google::protobuf::util::JsonPrintOptions print;
  print.preserve_proto_field_names = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, print);
  if (!status.ok()) return absl::InternalError(fmt::format("bootstrap: {}", status.ToString()));
  return json;
}

}  // namespace contour::envoy
