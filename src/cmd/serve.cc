// SPDX-License-Identifier: Apache-2.0
// serve: wires the rooms. Objects come from a source, go through the core thread, and leave as
// snapshots to the xDS server and as statuses.
//
//   start: health port (alive, not ready) → core → source → first build → xDS port → ready
//   stop: not ready → source → streams told and closed → core → statuses written → health port

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <system_error>

#include "admin/health_server.h"
#include "base/log.h"
#include "base/status.h"
#include "base/strings.h"
#include "cmd/command.h"
#include "cmd/lifecycle.h"
#include "cmd/serve/flags.h"
#include "cmd/serve/metrics.h"
#include "cmd/serve/reports.h"
#include "cmd/serve/world.h"
#include "core/core.h"
#include "envoy/adapt.h"
#include "xds/server.h"

namespace contour::cmd {
namespace {

constexpr std::string_view kContext = "serve";
constexpr std::chrono::seconds kStopDeadline{5};
constexpr std::chrono::seconds kDrainDeadline{2};  // of statuses that are not written yet

// The TLS of the xDS port: files, or nullopt with --insecure.
absl::StatusOr<std::optional<xds::TLSFiles>> TLSOf(const Flags& flags) {
  const int given = !flags.ca_file.empty() + !flags.cert_file.empty() + !flags.key_file.empty();
  if (flags.insecure) {
    log::Warning(
        kContext,
        "the xDS port is INSECURE: anybody who reaches it can read every route and private key",
        {{"cure",
          "--contour-cafile, --contour-cert-file and --contour-key-file instead of --insecure"}});
    return std::optional<xds::TLSFiles>();
  }
  if (given == 0) {
    return InvalidArgument(
        "no TLS parameters and --insecure not supplied. You must supply one or the other");
  }
  if (given != 3) {
    return InvalidArgument(
        "you must supply all three TLS parameters - --contour-cafile, --contour-cert-file, "
        "--contour-key-file, or none "
        "of them");
  }
  return std::optional(xds::TLSFiles{flags.cert_file, flags.key_file, flags.ca_file});
}

// Resources are translated for the aggregated stream; to an Envoy with a stream per type they must
// name the gRPC cluster.
std::string AdaptToStream(xds::ResourceType type, std::string_view bytes, xds::StreamMode mode) {
  const envoy::ConfigSource source = mode == xds::StreamMode::kDelta
                                         ? envoy::ConfigSource::kDeltaGrpc
                                         : envoy::ConfigSource::kGrpc;
  switch (type) {
    case xds::ResourceType::kCluster:
      return envoy::AdaptCluster(bytes, source);
    case xds::ResourceType::kListener:
      return envoy::AdaptListener(bytes, source);
    default:
      return std::string(bytes);
  }
}

// Status files among the manifests would be read as manifests.
absl::Status CheckFolders(const Flags& flags) {
  if (flags.manifests.empty() || flags.status_dir.empty()) return absl::OkStatus();
  std::error_code error;
  const std::filesystem::path manifests = std::filesystem::weakly_canonical(flags.manifests, error);
  const std::filesystem::path statuses = std::filesystem::weakly_canonical(flags.status_dir, error);
  const std::filesystem::path relative = statuses.lexically_relative(manifests);
  if (relative.empty() || *relative.begin() == "..") return absl::OkStatus();
  return InvalidArgument("--status-dir: {} lies below --manifests {}, take another folder",
                         flags.status_dir, flags.manifests);
}

absl::StatusOr<int> Run(const Flags& flags) {
  if (flags.debug) log::SetLevel(log::Level::kDebug);
  CONTOUR_RETURN_IF_ERROR(CheckFolders(flags));
  Lifecycle lifecycle;
  CONTOUR_ASSIGN_OR_RETURN(const std::optional<xds::TLSFiles> tls, TLSOf(flags));
  CONTOUR_ASSIGN_OR_RETURN(World world, MakeWorld(flags));

  xds::Server server(
      {.address = flags.xds_address, .port = flags.xds_port, .tls = tls, .adapt = AdaptToStream});
  StatusReport report(flags.status_dir, world.writer.get());
  core::Core::Options options;
  options.pipeline.listeners = flags.listeners;
  options.pipeline.graph.root_namespaces = SplitList(flags.root_namespaces);
  if (!flags.ingress_class.empty()) options.pipeline.graph.ingress_class = flags.ingress_class;

  Certificates certificates;
  BuildCounts builds;
  options.observer = [&](const core::Core::Batch& batch) { builds.Observe(batch); };
  std::atomic<bool> serving = false;
  absl::Status failure;
  // No Envoy is to see anything before the first build is complete: only then the port opens.
  const auto open_port = [&] {
    const absl::StatusOr<int> port = server.Start();
    if (!port.ok()) {
      failure = port.status();
      lifecycle.End(1);
      return;
    }
    serving = true;
    log::Info(kContext, "xDS server listening", {{"address", flags.xds_address}, {"port", *port}});
  };
  xds::SnapshotPtr published;
  core::Core core(options, [&](const core::Pipeline::Output& output) {
    const bool first = published == nullptr;
    if (output.snapshot != published) server.Publish(output.snapshot);
    published = output.snapshot;
    report.Report(output);
    certificates.Report(output);
    if (first) lifecycle.Post(open_port);
  });

  admin::HealthServer health(
      flags.http_address, flags.http_port,
      {.not_ready =
           [&] {
             if (serving) return std::string();
             return std::string(core.built() ? "the xDS port is closed"
                                             : "objects are not synced yet");
           },
       .metrics = [&] { return Metrics(world, core, server, certificates, builds); }});
  CONTOUR_RETURN_IF_ERROR(health.Start().status());

  api::Sink& source = core.AddSource();
  report.Start();
  core.Start();
  CONTOUR_RETURN_IF_ERROR(world.Start(source));
  const int exit_code = lifecycle.Run();

  serving = false;
  world.StopSources();
  server.Stop(kStopDeadline);
  core.Stop();
  report.Stop();
  world.StopWrites(kDrainDeadline);
  health.Stop();
  if (!failure.ok()) return failure;
  log::Info(kContext, "stopped");
  return exit_code;
}

}  // namespace

std::function<int()> Serve(CLI::App& app) {
  const auto flags = std::make_shared<Flags>();
  const auto option = [&](const char* name, auto& value, const char* text) {
    return app.add_option(name, value, text)->capture_default_str();
  };
  option("--manifests", flags->manifests,
         "read objects from the YAML and JSON files below this folder, not a cluster");
  option("--status-dir", flags->status_dir,
         "also write the statuses of objects to files below this folder");
  app.add_flag("--incluster,!--no-incluster", flags->in_cluster, "use the pod's service account");
  option("--kubeconfig", flags->kubeconfig, "path of a kubeconfig file, when not in a cluster");
  option("--ingressroute-root-namespaces", flags->root_namespaces,
         "comma list of namespaces in which root IngressRoutes may live; empty: all");
  option("--watch-namespaces", flags->watch_namespaces,
         "comma list of namespaces to watch; empty: all");
  option("--ingress-class-name", flags->ingress_class, "ingress class to serve; empty: contour");
  option("--xds-address", flags->xds_address, "address of the xDS server");
  option("--xds-port", flags->xds_port, "port of the xDS server");
  app.add_flag("--insecure", flags->insecure, "serve xDS without TLS");
  option("--contour-cafile", flags->ca_file, "CA that must have signed the certificates of Envoys")
      ->envname("CONTOUR_CAFILE");
  option("--contour-cert-file", flags->cert_file, "certificate of the xDS server")
      ->envname("CONTOUR_CERT_FILE");
  option("--contour-key-file", flags->key_file, "key of that certificate")
      ->envname("CONTOUR_KEY_FILE");
  option("--http-address", flags->http_address, "address of health and metrics");
  option("--http-port", flags->http_port, "port of health and metrics");
  envoy::ListenerOptions& listeners = flags->listeners;
  option("--stats-address", listeners.stats_address,
         "address of Envoy's stats and health listener");
  option("--stats-port", listeners.stats_port, "port of Envoy's stats and health listener");
  option("--envoy-service-http-address", listeners.http_address,
         "address of Envoy's HTTP listener");
  option("--envoy-service-http-port", listeners.http_port, "port of Envoy's HTTP listener");
  option("--envoy-service-https-address", listeners.https_address,
         "address of Envoy's HTTPS listener");
  option("--envoy-service-https-port", listeners.https_port, "port of Envoy's HTTPS listener");
  option("--envoy-http-access-log", listeners.http_access_log, "access log of the HTTP listener");
  option("--envoy-https-access-log", listeners.https_access_log,
         "access log of the HTTPS listener");
  app.add_flag("--use-proxy-protocol,!--no-use-proxy-protocol", listeners.use_proxy_protocol,
               "expect the PROXY protocol on both ingress listeners");
  app.add_flag("--debug,-d", flags->debug, "log more");
  return [flags] {
    const absl::StatusOr<int> exit_code = Run(*flags);
    if (exit_code.ok()) return *exit_code;
    fmt::print(stderr, "contour: error: {}\n", Message(exit_code.status()));
    return 1;
  };
}

}  // namespace contour::cmd
