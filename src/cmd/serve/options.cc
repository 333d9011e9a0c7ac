// SPDX-License-Identifier: Apache-2.0
#include "cmd/serve/options.h"

#include <arpa/inet.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <system_error>
#include <utility>

#include "base/log.h"
#include "base/read_file.h"
#include "base/status.h"
#include "base/strings.h"
#include "graph/model/listener.h"
#include "kube/kubeconfig.h"
#include "leader/election.h"
#include "serve/port_probe.h"

namespace contour::cmd {
namespace {

constexpr std::string_view kContext = "config";

graph::TLSVersion TLSVersionOf(config::TLSVersion version) {
  switch (version) {
    case config::TLSVersion::k1_1:
      return graph::TLSVersion::k1_1;
    case config::TLSVersion::k1_2:
      return graph::TLSVersion::k1_2;
    case config::TLSVersion::k1_3:
      return graph::TLSVersion::k1_3;
  }
  return graph::TLSVersion::k1_2;
}

envoy::Delivery DeliveryOf(config::Delivery delivery) {
  switch (delivery) {
    case config::Delivery::kClassic:
      return envoy::Delivery::kClassic;
    case config::Delivery::kSharded:
      return envoy::Delivery::kSharded;
    case config::Delivery::kShardedHTTPS:
      return envoy::Delivery::kShardedHTTPS;
  }
  return envoy::Delivery::kClassic;
}

envoy::AccessLogOptions AccessLogOptionsOf(const config::ListenerSettings& settings) {
  using Level = envoy::AccessLogOptions::Level;
  envoy::AccessLogOptions options;
  if (settings.access_log_format == config::AccessLogFormat::kJSON)
    options.format = envoy::AccessLogOptions::Format::kJSON;
  options.format_string = settings.access_log_format_string;
  options.json_fields = settings.access_log_fields;
  switch (settings.access_log_level) {
    case config::AccessLogLevel::kInfo:
      options.level = Level::kInfo;
      break;
    case config::AccessLogLevel::kError:
      options.level = Level::kError;
      break;
    case config::AccessLogLevel::kCritical:
      options.level = Level::kCritical;
      break;
    case config::AccessLogLevel::kDisabled:
      options.level = Level::kDisabled;
      break;
  }
  return options;
}

}  // namespace

core::Core::Options CoreOptions(const config::Serve& config) {
  core::Core::Options options;
  graph::Options& graph = options.pipeline.graph;
  if (!config.ingress_class.empty()) graph.ingress_class = config.ingress_class;
  graph.root_namespaces = config.root_namespaces;
  graph.disable_permit_insecure = config.disable_permit_insecure;
  graph.minimum_tls_version = TLSVersionOf(config.listeners.minimum_tls_version);
  graph.external_name_services = config.external_name_services;
  graph.own_namespace = config.own_namespace;
  envoy::ListenerOptions& listeners = options.pipeline.listeners;
  listeners.http_address = config.listeners.http_address;
  listeners.http_port = config.listeners.http_port;
  listeners.http_access_log = config.listeners.http_access_log;
  listeners.https_address = config.listeners.https_address;
  listeners.https_port = config.listeners.https_port;
  listeners.https_access_log = config.listeners.https_access_log;
  listeners.stats_address = config.listeners.stats_address;
  listeners.stats_port = config.listeners.stats_port;
  listeners.access_log = AccessLogOptionsOf(config.listeners);
  listeners.max_concurrent_streams = config.listeners.max_concurrent_streams;
  listeners.use_proxy_protocol = config.listeners.use_proxy_protocol;
  listeners.minimum_tls_version = graph.minimum_tls_version;
  listeners.delivery = DeliveryOf(config.listeners.delivery);
  return options;
}

absl::StatusOr<std::optional<leader::ReplicaRole::Electing>> ElectingOf(
    const config::Serve& config, const serve::Connections& connections) {
  const config::LeaderElection& wanted = config.leader_election;
  if (!wanted.enabled) return std::optional<leader::ReplicaRole::Electing>();
  if (connections.credentials == nullptr) {
    return InvalidArgument(
        "--enable-leader-election: expected a cluster, where the lock is, but objects come from "
        "--manifests {}",
        config.manifests);
  }
  leader::Options election;
  election.kind = wanted.lock == config::LockKind::kLease ? leader::LockKind::kLease
                                                          : leader::LockKind::kConfigMap;
  election.name = wanted.lock_name;
  election.ns = wanted.lock_namespace;
  election.identity = wanted.identity.empty() ? leader::DefaultIdentity() : wanted.identity;
  election.lease_duration = wanted.lease_duration;
  election.renew_deadline = wanted.renew_deadline;
  election.retry_period = wanted.retry_period;
  election.xds =
      wanted.served_by == config::ServedBy::kAll ? leader::Serving::kAll : leader::Serving::kLeader;
  CONTOUR_RETURN_IF_ERROR(leader::Check(election));
  const bool all_serve = election.xds == leader::Serving::kAll;
  leader::AddressOptions address;
  address.ns = config.own_namespace;
  address.pod_ip = wanted.pod_ip;
  address.port = config.xds_port;
  address.all_serve = all_serve;
  return std::optional<leader::ReplicaRole::Electing>(
      {.identity = election.identity,
       .all_serve = all_serve,
       .make = [election, address, credentials = connections.credentials](
                   std::function<void(const leader::View&)> on_view) {
         return std::make_unique<leader::Election>(credentials, election, address,
                                                   std::move(on_view));
       }});
}

namespace {

// Warns of variables that a pod's template should set, and what happens without them.
void WarnOfMissingEnvironment(const config::Serve& config) {
  const config::LeaderElection& election = config.leader_election;
  if (election.enabled && election.served_by == config::ServedBy::kLeader &&
      election.pod_ip.empty()) {
    log::Warning(kContext, "POD_IP is not set, so Envoys are not told where the leader is",
                 {{"cure",
                   "set it to the pod's address (fieldRef status.podIP, as in deploy/), or find "
                   "the leader by a TCP probe of its xDS port"}});
  }
  if (election.enabled && election.identity.empty()) {
    log::Warning(kContext,
                 "POD_NAME is not set, so this replica has a new name in the election after each "
                 "restart and has to wait for its own lock to expire",
                 {{"cure", "set it to the pod's name (fieldRef metadata.name, as in deploy/)"}});
  }
  if (!config.in_cluster) return;
  const absl::StatusOr<std::string> ns =
      ReadFile(kube::ServerConfigOptions().service_account_dir + "/namespace");
  if (!ns.ok() || *ns == config.own_namespace) return;
  log::Warning(
      kContext, "CONTOUR_NAMESPACE is not the namespace that this pod runs in",
      {{"taken", config.own_namespace},
       {"pod", *ns},
       {"effect", "Envoy's Service and the EndpointSlice contour-leader are looked for elsewhere"},
       {"cure", "set it to the pod's (fieldRef metadata.namespace, as in deploy/)"}});
}

}  // namespace

absl::StatusOr<std::optional<serve::OwnCertificates::Files>> TLSOf(const config::Serve& config) {
  if (config.insecure) return std::optional<serve::OwnCertificates::Files>();
  const int given = !config.ca_file.empty() + !config.cert_file.empty() + !config.key_file.empty();
  if (given == 0) {
    return InvalidArgument(
        "no TLS parameters and --insecure not supplied. You must supply one or the other");
  }
  if (given != 3) {
    return InvalidArgument(
        "you must supply all three TLS parameters - --contour-cafile, --contour-cert-file, "
        "--contour-key-file, or none of them");
  }
  return std::optional(serve::OwnCertificates::Files{
      .certificate = config.cert_file, .key = config.key_file, .client_ca = config.ca_file});
}

// Status files among the manifests would be read as manifests.
absl::Status CheckFolders(const config::Serve& config) {
  if (!config.snapshot_file.empty() && !config.manifests.empty()) {
    return InvalidArgument(
        "--snapshot-file: expected a cluster, but objects come from --manifests {}, which are on "
        "disk already",
        config.manifests);
  }
  if (config.manifests.empty() || config.status_dir.empty()) return absl::OkStatus();
  std::error_code error;
  const std::filesystem::path manifests =
      std::filesystem::weakly_canonical(config.manifests, error);
  const std::filesystem::path statuses =
      std::filesystem::weakly_canonical(config.status_dir, error);
  const std::filesystem::path relative = statuses.lexically_relative(manifests);
  if (relative.empty() || *relative.begin() == "..") return absl::OkStatus();
  return InvalidArgument("--status-dir: {} lies below --manifests {}, take another folder",
                         config.status_dir, config.manifests);
}

absl::Status CheckXdsAddress(const config::Serve& config) {
  const std::chrono::milliseconds age = config.xds_connection_age;
  if (age.count() > 0 && age < std::chrono::seconds(1)) {
    return InvalidArgument(
        "--xds-connection-age: {}ms is too short; give at least 1s, or 0 for no limit",
        age.count());
  }
  absl::Status status = serve::CheckCanListen(config.xds_address, config.xds_port);
  if (status.ok()) return status;
  return Unavailable("--xds-address, --xds-port: {}", Message(status));
}

absl::Status CheckListeners(const config::Serve& config) {
  const config::ListenerSettings& l = config.listeners;
  const struct {
    const char* flag;
    const std::string& address;
    std::uint16_t port;
  } all[] = {{"--envoy-service-http", l.http_address, l.http_port},
             {"--envoy-service-https", l.https_address, l.https_port},
             {"--stats", l.stats_address, l.stats_port}};
  for (const auto& one : all) {
    in6_addr parsed{};
    if (inet_pton(AF_INET, one.address.c_str(), &parsed) != 1 &&
        inet_pton(AF_INET6, one.address.c_str(), &parsed) != 1) {
      return InvalidArgument("{}-address: expected an IP address, got {}", one.flag,
                             Quote(one.address));
    }
    for (const auto& other : all) {
      if (&one != &other && one.port == other.port && one.address == other.address) {
        return InvalidArgument("{}-port: {}:{} is the address of {}-port too", other.flag,
                               one.address, one.port, one.flag);
      }
    }
  }
  return absl::OkStatus();
}

absl::Status CheckAccessLogs(const config::Serve& config) {
  return envoy::CheckAccessLog(AccessLogOptionsOf(config.listeners));
}

void WarnOfConfig(const config::Serve& config) {
  WarnOfMissingEnvironment(config);
  if (config.insecure) {
    log::Warning(
        kContext,
        "the xDS port is INSECURE: anybody who reaches it can read every route and private key",
        {{"cure",
          "--contour-cafile, --contour-cert-file and --contour-key-file instead of --insecure"}});
  }
  if (config.listeners.minimum_tls_version == config::TLSVersion::k1_1) {
    log::Warning(
        kContext, "TLS 1.1 is out of use and not safe (RFC 8996)",
        {{"setting", "tls.minimumProtocolVersion"}, {"cure", "1.2, which is the default"}});
  }
}

}  // namespace contour::cmd
