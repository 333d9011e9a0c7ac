// SPDX-License-Identifier: Apache-2.0
#include "envoy/bootstrap.h"

#include <fmt/core.h>
#include <google/protobuf/util/json_util.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/status.h"
#include "envoy/config/accesslog/v3/accesslog.pb.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/overload/v3/overload.pb.h"
#include "envoy/config_source.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb.h"
#include "envoy/extensions/resource_monitors/downstream_connections/v3/downstream_connections.pb.h"
#include "envoy/extensions/resource_monitors/fixed_heap/v3/fixed_heap.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/common.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "envoy/message.h"
#include "envoy/names.h"
#include "envoy/service/discovery/v3/discovery.pb.h"

namespace contour::envoy {
namespace {

namespace core = ::envoy::config::core::v3;
namespace tls = ::envoy::extensions::transport_sockets::tls::v3;
using EnvoyBootstrap = ::envoy::config::bootstrap::v3::Bootstrap;
using EnvoyCluster = ::envoy::config::cluster::v3::Cluster;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Whoever may enter the folder may use Envoy's admin interface by its socket.
constexpr std::uint32_t kSocketMode = 0644;
// The longest path of a Unix socket, in bytes (sun_path without the final zero).
constexpr std::size_t kLongestSocketPath = 107;

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

// Sets a stream that sends the node in its first message only.
void SetFirstStream(bool delta, core::ApiConfigSource* source) {
  SetStream(delta, source);
  source->set_set_node_on_first_message_only(true);
}

void SetDynamicResources(const Mode& mode, EnvoyBootstrap::DynamicResources* resources) {
  core::ConfigSource* const sources[] = {resources->mutable_lds_config(),
                                         resources->mutable_cds_config()};
  if (mode.ads) SetFirstStream(mode.delta, resources->mutable_ads_config());
  for (core::ConfigSource* source : sources) {
    source->set_resource_api_version(core::V3);
    if (mode.ads) {
      source->mutable_ads();
    } else {
      SetFirstStream(mode.delta, source->mutable_api_config_source());
    }
  }
}

// Adds the only endpoint and returns its address, which is to be filled in.
core::Address* AddEndpoint(std::string_view name, EnvoyCluster* cluster) {
  auto* assignment = cluster->mutable_load_assignment();
  assignment->set_cluster_name(std::string(name));
  return assignment->add_endpoints()->add_lb_endpoints()->mutable_endpoint()->mutable_address();
}

// The kernel answers TCP keepalive even if contour is frozen or hangs. Pings must be answered by
// the process itself. Envoy closes a connection without an answer after 16 s at the latest.
constexpr PingKeepalive kXdsKeepalive = {.interval = seconds(5), .timeout = seconds(10)};

constexpr std::string_view kCertificateSecret = "contour_xds_tls_certificate";
constexpr std::string_view kValidationSecret = "contour_xds_tls_validation_context";

std::string CertificatePath(const BootstrapOptions& options) {
  return options.resources_dir + "/sds/xds-tls-certificate.json";
}
std::string ValidationPath(const BootstrapOptions& options) {
  return options.resources_dir + "/sds/xds-validation-context.json";
}

// Returns the folder to watch for a file in it.
std::string FolderOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

void SetCertificate(const BootstrapOptions& options, tls::TlsCertificate* certificate) {
  certificate->mutable_certificate_chain()->set_filename(Text(options.cert_file));
  certificate->mutable_private_key()->set_filename(Text(options.key_file));
}

void SetValidation(const BootstrapOptions& options, tls::CertificateValidationContext* validation) {
  validation->mutable_trusted_ca()->set_filename(Text(options.ca_file));
  auto* san = validation->add_match_typed_subject_alt_names();
  san->set_san_type(tls::SubjectAltNameMatcher::DNS);
  san->mutable_matcher()->set_exact("contour");
}

void SetSecretFile(std::string_view name, const std::string& path, tls::SdsSecretConfig* config) {
  config->set_name(std::string(name));
  auto* source = config->mutable_sds_config();
  source->set_resource_api_version(core::V3);
  source->mutable_path_config_source()->set_path(Text(path));
}

void SetTLS(const BootstrapOptions& options, EnvoyCluster* cluster) {
  tls::UpstreamTlsContext context;
  auto* common = context.mutable_common_tls_context();
  if (options.resources_dir.empty()) {
    SetCertificate(options, common->add_tls_certificates());
    SetValidation(options, common->mutable_validation_context());
  } else {
    SetSecretFile(kCertificateSecret, CertificatePath(options),
                  common->add_tls_certificate_sds_secret_configs());
    SetSecretFile(kValidationSecret, ValidationPath(options),
                  common->mutable_validation_context_sds_secret_config());
  }
  auto* socket = cluster->mutable_transport_socket();
  socket->set_name("envoy.transport_sockets.tls");
  Pack(context, socket->mutable_typed_config());
}

void SetContourCluster(const BootstrapOptions& options, EnvoyCluster* cluster) {
  cluster->set_name(std::string(kContourCluster));
  cluster->set_alt_stat_name(Text(fmt::format("{}_contour_{}", options.ns, options.xds_port)));
  cluster->set_type(IsIP(options.xds_address) ? EnvoyCluster::STATIC : EnvoyCluster::STRICT_DNS);
  SetDuration(seconds(5), cluster->mutable_connect_timeout());
  SetAddress(options.xds_address, options.xds_port, AddEndpoint(kContourCluster, cluster));
  SetHTTP2(kXdsKeepalive, cluster);
  // These limits are too high to matter: Envoy must never refuse a stream to the control plane.
  for (const auto priority : {core::HIGH, core::DEFAULT}) {
    auto* thresholds = cluster->mutable_circuit_breakers()->add_thresholds();
    thresholds->set_priority(priority);
    thresholds->mutable_max_connections()->set_value(100000);
    thresholds->mutable_max_pending_requests()->set_value(100000);
    thresholds->mutable_max_requests()->set_value(60000000);
    thresholds->mutable_max_retries()->set_value(50);
  }
  // The kernel notices after 45 s at the latest that the other side has vanished.
  auto* keepalive = cluster->mutable_upstream_connection_options()->mutable_tcp_keepalive();
  keepalive->mutable_keepalive_probes()->set_value(3);
  keepalive->mutable_keepalive_time()->set_value(30);
  keepalive->mutable_keepalive_interval()->set_value(5);
  cluster->mutable_upstream_bind_config();  // present and empty: without the options for all
}

bool IsSocketPath(const std::string& address) { return address.front() == '/'; }

void SetAdminAddress(const BootstrapOptions& options, core::Address* address) {
  if (!IsSocketPath(options.admin_address)) {
    SetAddress(options.admin_address, options.admin_port, address);
    return;
  }
  auto* pipe = address->mutable_pipe();
  pipe->set_path(Text(options.admin_address));
  pipe->set_mode(kSocketMode);
}

void SetStatsCluster(const BootstrapOptions& options, EnvoyCluster* cluster) {
  cluster->set_name(std::string(kServiceStatsCluster));
  cluster->set_alt_stat_name(
      Text(fmt::format("{}_service-stats_{}", options.ns, options.admin_port)));
  cluster->set_type(IsSocketPath(options.admin_address) ? EnvoyCluster::STATIC
                                                        : EnvoyCluster::LOGICAL_DNS);
  SetDuration(milliseconds(250), cluster->mutable_connect_timeout());
  SetAdminAddress(options, AddEndpoint(kServiceStatsCluster, cluster));
  cluster->mutable_upstream_bind_config();  // present and empty: a Unix socket takes no TCP options
}

// Sets values that only the runtime has.
void SetRuntime(::envoy::config::bootstrap::v3::LayeredRuntime* runtime) {
  auto* layer = runtime->add_layers();
  layer->set_name("contour");
  auto& values = *layer->mutable_static_layer()->mutable_fields();
  // An expression above the limit makes Envoy NACK a whole route configuration. contour has a limit
  // of its own, far below, which only affects the object with the expression.
  values["re2.max_program_size.error_level"].set_number_value(1048576);
  values["re2.max_program_size.warn_level"].set_number_value(1048576);
  // A connection that sends many requests at once must share the thread with the others.
  values["http.max_requests_per_io_cycle"].set_number_value(5);
  // The headers of a response have limits of count and size, beyond which Envoy answers 502 or 503.
  // Browsers take 256 KiB. Clusters could have these values too, but each of them would grow.
  values["envoy.reloadable_features.max_response_headers_count"].set_number_value(10000);
  values["envoy.reloadable_features.max_response_headers_size_kb"].set_number_value(256);
  // This layer permits changing values on the admin interface.
  auto* admin = runtime->add_layers();
  admin->set_name("admin");
  admin->mutable_admin_layer();
}

namespace overload = ::envoy::config::overload::v3;

void AddHeapAction(std::string_view name, double threshold, overload::OverloadManager* manager) {
  auto* action = manager->add_actions();
  action->set_name(fmt::format("envoy.overload_actions.{}", name));
  auto* trigger = action->add_triggers();
  trigger->set_name("envoy.resource_monitors.fixed_heap");
  trigger->mutable_threshold()->set_value(threshold);
}

void SetOverloadManager(const BootstrapOptions& options, EnvoyBootstrap* message) {
  namespace monitors = ::envoy::extensions::resource_monitors;
  if (options.max_heap_bytes == 0 && options.max_downstream_connections == 0) return;
  overload::OverloadManager* manager = message->mutable_overload_manager();
  SetDuration(milliseconds(250), manager->mutable_refresh_interval());
  if (options.max_heap_bytes > 0) {
    auto* monitor = manager->add_resource_monitors();
    monitor->set_name("envoy.resource_monitors.fixed_heap");
    monitors::fixed_heap::v3::FixedHeapConfig heap;
    heap.set_max_heap_size_bytes(options.max_heap_bytes);
    Pack(heap, monitor->mutable_typed_config());
    AddHeapAction("shrink_heap", 0.95, manager);
    AddHeapAction("stop_accepting_requests", 0.98, manager);
  }
  if (options.max_downstream_connections > 0) {
    auto* monitor = manager->add_resource_monitors();
    monitor->set_name("envoy.resource_monitors.global_downstream_max_connections");
    monitors::downstream_connections::v3::DownstreamConnectionsConfig connections;
    connections.set_max_active_downstream_connections(options.max_downstream_connections);
    Pack(connections, monitor->mutable_typed_config());
  }
}

// True if there are TLS files, false if there are none; an error if only some are given.
absl::StatusOr<bool> HasTLS(const BootstrapOptions& options) {
  const int given =
      !options.ca_file.empty() + !options.cert_file.empty() + !options.key_file.empty();
  if (given == 0 || given == 3) return given == 3;
  return InvalidArgument(
      "You must supply all three TLS parameters - --envoy-cafile, --envoy-cert-file, "
      "--envoy-key-file, or none of them.");
}

absl::Status CheckAdminAddress(const std::string& address) {
  const bool is_loopback = IsIP(address) && (address.rfind("127.", 0) == 0 || address == "::1");
  if (is_loopback) return absl::OkStatus();
  if (address.empty() || !IsSocketPath(address)) {
    return InvalidArgument(
        "--admin-address: expected a loopback address (127.0.0.1, ::1) or the absolute path of a "
        "Unix socket, got \"{}\"",
        address);
  }
  if (address.size() > kLongestSocketPath) {
    return InvalidArgument("--admin-address: the path of a socket has at most {} bytes, got {}",
                           kLongestSocketPath, address.size());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> JSON(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions print;
  print.preserve_proto_field_names = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, print);
  if (!status.ok()) return absl::InternalError(fmt::format("bootstrap: {}", status.ToString()));
  return json;
}

absl::StatusOr<std::string> Response(const tls::Secret& secret) {
  ::envoy::service::discovery::v3::DiscoveryResponse response;
  Pack(secret, response.add_resources());
  return JSON(response);
}

}  // namespace

absl::StatusOr<BootstrapMode> ParseBootstrapMode(std::string_view name) {
  for (const Mode& mode : kModes) {
    if (mode.name == name) return mode.mode;
  }
  return InvalidArgument("expected delta-ads, sotw-ads, delta or sotw, got \"{}\"", name);
}

absl::StatusOr<std::string> BootstrapJSON(const BootstrapOptions& options) {
  CONTOUR_ASSIGN_OR_RETURN(const bool with_tls, HasTLS(options));
  CONTOUR_RETURN_IF_ERROR(CheckAdminAddress(options.admin_address));

  EnvoyBootstrap message;
  if (!options.node_id.empty()) message.mutable_node()->set_id(Text(options.node_id));
  if (!options.node_cluster.empty())
    message.mutable_node()->set_cluster(Text(options.node_cluster));
  SetDynamicResources(ModeOf(options.mode), message.mutable_dynamic_resources());
  EnvoyCluster* contour = message.mutable_static_resources()->add_clusters();
  SetContourCluster(options, contour);
  if (with_tls) SetTLS(options, contour);
  SetStatsCluster(options, message.mutable_static_resources()->add_clusters());

  // The same keepalive for the connections of all clusters. Said here, it costs nothing in each of
  // them.
  AddKeepalive(
      message.mutable_cluster_manager()->mutable_upstream_bind_config()->mutable_socket_options());
  // Statistics are pushed nowhere. To gather them every 5 s would take 2 % of a core at 10,000
  // hosts; so they are gathered when the admin interface is asked.
  message.set_stats_flush_on_admin(true);
  auto* admin = message.mutable_admin();
  SetAdminAddress(options, admin->mutable_address());
  admin->set_ignore_global_conn_limit(true);  // one can look, and drain, when all are in use
  ::envoy::extensions::access_loggers::file::v3::FileAccessLog file;
  file.set_path("/dev/null");
  auto* log = admin->add_access_log();
  log->set_name("envoy.access_loggers.file");
  Pack(file, log->mutable_typed_config());
  SetRuntime(message.mutable_layered_runtime());
  SetOverloadManager(options, &message);
  return JSON(message);
}

absl::StatusOr<std::vector<ResourceFile>> BootstrapResources(const BootstrapOptions& options) {
  CONTOUR_ASSIGN_OR_RETURN(const bool with_tls, HasTLS(options));
  CONTOUR_RETURN_IF_ERROR(CheckAdminAddress(options.admin_address));
  std::vector<ResourceFile> files;
  if (!with_tls || options.resources_dir.empty()) return files;

  tls::Secret certificate;
  certificate.set_name(std::string(kCertificateSecret));
  SetCertificate(options, certificate.mutable_tls_certificate());
  certificate.mutable_tls_certificate()->mutable_watched_directory()->set_path(
      Text(FolderOf(options.cert_file)));

  tls::Secret validation;
  validation.set_name(std::string(kValidationSecret));
  SetValidation(options, validation.mutable_validation_context());
  validation.mutable_validation_context()->mutable_watched_directory()->set_path(
      Text(FolderOf(options.ca_file)));

  CONTOUR_ASSIGN_OR_RETURN(std::string certificate_json, Response(certificate));
  files.push_back({CertificatePath(options), std::move(certificate_json)});
  CONTOUR_ASSIGN_OR_RETURN(std::string validation_json, Response(validation));
  files.push_back({ValidationPath(options), std::move(validation_json)});
  return files;
}

}  // namespace contour::envoy
