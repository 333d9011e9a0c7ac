// SPDX-License-Identifier: Apache-2.0

#include "config/serve.h"

#include <algorithm>

#include "base/status.h"
#include "config/file.h"

namespace contour::config {

LoadedServe::LoadedServe() { Declare(); }

void LoadedServe::Declare() {
  Settings& s = settings_;
  Serve& v = serve_;
  ListenerSettings& l = v.listeners;
  LeaderElection& e = v.leader_election;

  s.Group("Objects");
  s.Add(v.config_path,
        {.flag = "config-path", .short_flag = "c", .value = "FILE", .text = "configuration file"});
  s.Add(v.in_cluster, {.flag = "incluster",
                       .keys = {"incluster"},
                       .text = "should contour expect to be running inside a k8s cluster"});
  s.Add(v.kubeconfig, {.flag = "kubeconfig",
                       .keys = {"kubeconfig"},
                       .value = "FILE",
                       .text = "path to kubeconfig (if not running inside a k8s cluster); without "
                               "one $KUBECONFIG and ~/.kube/config are tried"});
  s.Add(v.manifests, {.flag = "manifests",
                      .value = "DIR",
                      .text = "read objects from the YAML and JSON files below this folder, not a "
                              "cluster"});
  s.Add(v.status_dir, {.flag = "status-dir",
                       .value = "DIR",
                       .text = "also write the statuses of objects to files below this folder"});
  s.Add(v.snapshot_file, {.flag = "snapshot-file",
                          .value = "FILE",
                          .text = "keep what is served in this file, private keys included, and "
                                  "serve from it after a start while the API server is away"});
  s.Add(v.own_namespace, {.environment = "CONTOUR_NAMESPACE",
                          .value = "NAMESPACE",
                          .text = "namespace that contour and its Envoys run in",
                          .zero_is_default = true});
  s.Add(v.root_namespaces, {.flag = "ingressroute-root-namespaces",
                            .value = "NAMES",
                            .text = "comma list of namespaces in which root IngressRoutes may live "
                                    "and from which Secrets are read; empty: all"});
  s.Add(v.watch_namespaces, {.flag = "watch-namespaces",
                             .value = "NAMES",
                             .text = "comma list of namespaces to watch; empty: all"});
  s.Add(v.without,
        {.flag = "without",
         .value = "KINDS",
         .text = "comma list of kinds that are not read, for want of a right: Secret, Ingress, "
                 "IngressClass, IngressRoute, TLSCertificateDelegation; statuses that depend on "
                 "them say unknown"});
  s.Add(v.ingress_class, {.flag = "ingress-class-name",
                          .value = "NAME",
                          .text = "ingress class to serve; empty: contour"});
  s.Add(v.ingress_status_address,
        {.flag = "ingress-status-address",
         .keys = {"ingress-status-address"},
         .value = "ADDRESSES",
         .text = "comma list of IP addresses and host names for the status of Ingresses; empty: "
                 "those of the load balancer of Envoy's Service"});
  s.Add(v.envoy_service_name, {.flag = "envoy-service-name",
                               .keys = {"envoy-service-name"},
                               .value = "NAME",
                               .text = "Service of the Envoys",
                               .zero_is_default = true});
  s.Add(v.envoy_service_namespace, {.flag = "envoy-service-namespace",
                                    .keys = {"envoy-service-namespace"},
                                    .value = "NAMESPACE",
                                    .text = "its namespace; empty: contour's own"});
  s.Add(v.disable_permit_insecure,
        {.keys = {"disablePermitInsecure"}, .text = "disable ingressroute permitInsecure field"});
  s.Add(v.external_name_services,
        {.keys = {"enableExternalNameService"},
         .text = "let routes send to Services of type ExternalName (never to localhost, link-local "
                 "addresses and contour's own Services)"});

  s.Group("xDS server");
  s.Add(v.xds_address,
        {.flag = "xds-address", .value = "ADDRESS", .text = "address of the xDS server"});
  s.Add(v.xds_port, {.flag = "xds-port", .value = "PORT", .text = "port of the xDS server"});
  s.Add(v.xds_connection_age,
        {.flag = "xds-connection-age",
         .keys = {"xds-connection-age"},
         .value = "DURATION",
         .text = "age at which a connection of an Envoy ends, give or take a tenth, so that Envoys "
                 "spread over all replicas again; 0: never"});
  s.Add(v.insecure, {.flag = "insecure", .text = "serve xDS without TLS"});
  s.Add(v.ca_file, {.flag = "contour-cafile",
                    .environment = "CONTOUR_CAFILE",
                    .value = "FILE",
                    .text = "CA that must have signed the certificates of Envoys; cacert.pem and "
                            "ca.crt in its folder stand for each other"});
  s.Add(v.cert_file, {.flag = "contour-cert-file",
                      .environment = "CONTOUR_CERT_FILE",
                      .value = "FILE",
                      .text = "certificate of the xDS server"});
  s.Add(v.key_file, {.flag = "contour-key-file",
                     .environment = "CONTOUR_KEY_FILE",
                     .value = "FILE",
                     .text = "key of that certificate"});

  s.Group("Envoy's listeners");
  s.Add(l.http_address, {.flag = "envoy-service-http-address",
                         .value = "ADDRESS",
                         .text = "address of the HTTP listener",
                         .zero_is_default = true});
  s.Add(l.http_port, {.flag = "envoy-service-http-port",
                      .value = "PORT",
                      .text = "port of the HTTP listener",
                      .zero_is_default = true});
  s.Add(l.https_address, {.flag = "envoy-service-https-address",
                          .value = "ADDRESS",
                          .text = "address of the HTTPS listener",
                          .zero_is_default = true});
  s.Add(l.https_port, {.flag = "envoy-service-https-port",
                       .value = "PORT",
                       .text = "port of the HTTPS listener",
                       .zero_is_default = true});
  s.Add(l.http_access_log, {.flag = "envoy-http-access-log",
                            .value = "FILE",
                            .text = "access log of the HTTP listener",
                            .zero_is_default = true});
  s.Add(l.https_access_log, {.flag = "envoy-https-access-log",
                             .value = "FILE",
                             .text = "access log of the HTTPS listener",
                             .zero_is_default = true});
  s.Add(l.access_log_format, {{"envoy", AccessLogFormat::kEnvoy}, {"json", AccessLogFormat::kJSON}},
        {.flag = "accesslog-format",
         .keys = {"accesslog-format"},
         .text = "format of the access logs"});
  s.Add(l.access_log_format_string,
        {.keys = {"accesslog-format-string"},
         .value = "FORMAT",
         .text = "Envoy's format string of the envoy format, ending in a newline; empty: Envoy's "
                 "own format"});
  s.Add(l.access_log_fields,
        {.keys = {"json-fields"},
         .value = "FIELDS",
         .text = "fields of the json format: names, Envoy's operators, or name=format string; "
                 "empty: the usual ones"});
  s.Add(l.access_log_level,
        {{"info", AccessLogLevel::kInfo},
         {"error", AccessLogLevel::kError},
         {"critical", AccessLogLevel::kCritical},
         {"disabled", AccessLogLevel::kDisabled}},
        {.keys = {"accesslog-level"},
         .text = "what is logged: all, statuses from 300 and failures (error), from 500 and "
                 "failures (critical), or nothing"});
  s.Add(l.max_concurrent_streams,
        {.keys = {"listener.http2-max-concurrent-streams"},
         .value = "N",
         .text = "requests at a time on one HTTP/2 connection of a client",
         .minimum = 1,
         .maximum = 2147483647});
  s.Add(l.stats_address, {.flag = "stats-address",
                          .value = "ADDRESS",
                          .text = "address of the listener of Envoy's metrics and health",
                          .zero_is_default = true});
  s.Add(l.stats_port, {.flag = "stats-port",
                       .value = "PORT",
                       .text = "port of the listener of Envoy's metrics and health",
                       .zero_is_default = true});
  s.Add(l.use_proxy_protocol, {.flag = "use-proxy-protocol",
                               .text = "expect the PROXY protocol on both ingress listeners"});
  s.Add(l.minimum_tls_version,
        {{"1.1", TLSVersion::k1_1}, {"1.2", TLSVersion::k1_2}, {"1.3", TLSVersion::k1_3}},
        {.keys = {"tls.minimumProtocolVersion", "tls.minimum-protocol-version"},
         .text = "minimum TLS version that Contour will negotiate"});

  s.Add(
      l.delivery,
      {{"classic", Delivery::kClassic},
       {"sharded", Delivery::kSharded},
       {"sharded-https", Delivery::kShardedHTTPS}},
      {.flag = "delivery",
       .keys = {"delivery"},
       .text = "how routes reach Envoy: all hosts of a listener in one resource, or plain HTTP by "
               "a resource per host, so that a change costs the same for any number of hosts, or "
               "HTTPS too"});

  s.Group("Leader election");
  s.Add(e.enabled,
        {.flag = "enable-leader-election",
         .keys = {"enableleaderelection"},
         .text = "let one of several replicas lead: it alone writes statuses, and serves "
                 "Envoys unless all do"});
  s.Add(e.identity, {.environment = "POD_NAME",
                     .value = "NAME",
                     .text = "name of this replica in the election; without one the host's name "
                             "and something random",
                     .zero_is_default = true});
  s.Add(e.pod_ip, {.environment = "POD_IP",
                   .value = "ADDRESS",
                   .text = "address that the leader publishes in the EndpointSlice contour-leader, "
                           "by which Envoys find it",
                   .zero_is_default = true});
  s.Add(e.served_by, {{"leader", ServedBy::kLeader}, {"all", ServedBy::kAll}},
        {.keys = {"leaderelection.xds"}, .text = "who serves xDS: the leader, or all replicas"});
  s.Add(lease_name_, {.keys = {"leaderelection.lease-name"},
                      .text = "name of the Lease that is the lock",
                      .zero_is_default = true});
  s.Add(lease_namespace_, {.keys = {"leaderelection.lease-namespace"},
                           .text = "its namespace",
                           .zero_is_default = true});
  s.Add(config_map_name_, {.keys = {"leaderelection.configmap-name"},
                           .text = "name of the ConfigMap that is the lock instead of a Lease, if "
                                   "a configmap key is given",
                           .zero_is_default = true});
  s.Add(config_map_namespace_, {.keys = {"leaderelection.configmap-namespace"},
                                .text = "its namespace",
                                .zero_is_default = true});
  s.Add(e.lease_duration, {.keys = {"leaderelection.lease-duration"},
                           .text = "a lock that wasn't renewed for so long may be taken over"});
  s.Add(e.renew_deadline, {.keys = {"leaderelection.renew-deadline"},
                           .text = "a leader that couldn't renew for so long stops to lead"});
  s.Add(e.retry_period, {.keys = {"leaderelection.retry-period"},
                         .text = "time between two attempts to take or renew the lock"});

  s.Group("Metrics, health, debugging");
  s.Add(v.http_address,
        {.flag = "http-address", .value = "ADDRESS", .text = "address of health and metrics"});
  s.Add(v.http_port, {.flag = "http-port", .value = "PORT", .text = "port of health and metrics"});
  s.Add(v.debug_http_address,
        {.flag = "debug-http-address", .value = "ADDRESS", .text = "address of the debug pages"});
  s.Add(v.debug_http_port,
        {.flag = "debug-http-port", .value = "PORT", .text = "port of the debug pages"});
  s.Add(v.log_format, {{"text", log::Format::kText}, {"json", log::Format::kJson}},
        {.flag = "log-format",
         .keys = {"log-format"},
         .value = "FORMAT",
         .text = "form of a line of the log: key=value, or a JSON object"});
  s.Add(
      v.debug,
      {.flag = "debug", .short_flag = "d", .keys = {"debug"}, .text = "log more", .at_once = true});
}

absl::Status LoadedServe::ChooseLock() {
  const auto given = [&](const char* key) {
    const Setting* const setting = settings_.FindKey(key);
    return setting->source == Source::kDefault ? nullptr : setting;
  };
  const Setting* lease = given("leaderelection.lease-name");
  if (lease == nullptr) lease = given("leaderelection.lease-namespace");
  const Setting* config_map = given("leaderelection.configmap-name");
  if (config_map == nullptr) config_map = given("leaderelection.configmap-namespace");
  if (lease != nullptr && config_map != nullptr) {
    return InvalidArgument("{}: {}: expected one kind of lock, but {} ({}) asks for another",
                           config_map->place, config_map->Name(), lease->Name(), lease->place);
  }
  LeaderElection& election = serve_.leader_election;
  election.lock = config_map != nullptr ? LockKind::kConfigMap : LockKind::kLease;
  election.lock_name = config_map != nullptr ? config_map_name_ : lease_name_;
  election.lock_namespace = config_map != nullptr ? config_map_namespace_ : lease_namespace_;
  return absl::OkStatus();
}

// Checks rules about several settings together.
absl::Status LoadedServe::Check() const {
  const LeaderElection& election = serve_.leader_election;
  if (election.retry_period <= std::chrono::milliseconds(0)) {
    return InvalidArgument("leaderelection.retry-period: expected more than 0s");
  }
  // The factor 1.2 is for the jitter of a retry; client-go requires it too.
  if (election.renew_deadline * 10 <= election.retry_period * 12) {
    return InvalidArgument(
        "leaderelection.renew-deadline: expected more than 1.2 times leaderelection.retry-period "
        "({}), got {}",
        settings_.FindKey("leaderelection.retry-period")->show(),
        settings_.FindKey("leaderelection.renew-deadline")->show());
  }
  if (election.lease_duration <= election.renew_deadline) {
    return InvalidArgument(
        "leaderelection.lease-duration: expected more than leaderelection.renew-deadline ({}), got "
        "{}",
        settings_.FindKey("leaderelection.renew-deadline")->show(),
        settings_.FindKey("leaderelection.lease-duration")->show());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<const LoadedServe>> LoadServe(const GivenFlags& flags,
                                                             const Environment& environment) {
  auto loaded = std::make_unique<LoadedServe>();
  FileValues file;
  const auto path = flags.find("config-path");
  if (path != flags.end()) {
    CONTOUR_ASSIGN_OR_RETURN(loaded->file_text_, ReadText(path->second));
    CONTOUR_ASSIGN_OR_RETURN(file, ParseFile(path->second, loaded->file_text_, loaded->settings_));
  }
  CONTOUR_RETURN_IF_ERROR(
      loaded->settings_.Resolve({.file = &file, .environment = environment, .flags = &flags}));
  CONTOUR_RETURN_IF_ERROR(loaded->ChooseLock());
  CONTOUR_RETURN_IF_ERROR(loaded->Check());
  return loaded;
}

}  // namespace contour::config
