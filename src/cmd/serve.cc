// SPDX-License-Identifier: Apache-2.0
// serve: wires the rooms. Objects come from a source, go through the core thread, and leave as
// snapshots to the xDS server and as statuses.
//
//   start: health port (alive, not ready) → core → source → first build → xDS port → ready
//   stop: not ready → source → streams told and closed → core → health port

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <system_error>

#include "admin/health_server.h"
#include "admin/metrics.h"
#include "base/log.h"
#include "base/status.h"
#include "base/strings.h"
#include "cmd/command.h"
#include "cmd/lifecycle.h"
#include "core/core.h"
#include "envoy/adapt.h"
#include "file/manifest_source.h"
#include "kube/client.h"
#include "kube/cluster_source.h"
#include "kube/credentials.h"
#include "kube/kubeconfig.h"
#include "status/status_files.h"
#include "status/status_writer.h"
#include "xds/server.h"

namespace contour::cmd {
namespace {

using std::chrono_literals::operator""ms;

constexpr std::string_view kContext = "serve";
constexpr std::chrono::seconds kStopDeadline{5};

struct Flags {
  std::string manifests;
  std::string status_dir;
  bool in_cluster = false;
  std::string kubeconfig;
  std::string root_namespaces;
  std::string watch_namespaces;
  std::string ingress_class;
  std::string xds_address = "127.0.0.1";
  std::uint16_t xds_port = 8001;
  bool insecure = false;
  std::string ca_file;
  std::string cert_file;
  std::string key_file;
  std::string http_address = "0.0.0.0";
  std::uint16_t http_port = 8000;
  envoy::ListenerOptions listeners;
  bool debug = false;
};

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

// Where objects come from and statuses go to: a folder of manifests, or an API server.
struct World {
  // In the order of their making: what is below uses what is above.
  std::unique_ptr<file::ManifestSource> manifests;
  std::unique_ptr<status::StatusWriter> writer;
  std::unique_ptr<kube::Client> client;  // ends before the writer, which its answers go to
  std::unique_ptr<kube::ClusterSource> cluster;
  std::unique_ptr<api::Sink> observer;

  absl::Status Start(api::Sink& sink) {
    if (manifests != nullptr) return manifests->Start(sink);
    observer = std::make_unique<Observer>(*writer, sink);
    writer->Start();
    cluster->Start(*observer);
    return absl::OkStatus();
  }
  void Stop() {
    if (manifests != nullptr) manifests->Stop();
    if (cluster != nullptr) cluster->Stop();
    if (writer != nullptr) writer->Stop();
  }

 private:
  // Shows the writer what the server has, on the way to the core.
  class Observer : public api::Sink {
   public:
    Observer(status::StatusWriter& writer, api::Sink& next) : writer_(writer), next_(next) {}
    void Apply(std::vector<api::Change> changes) override {
      writer_.Observe(changes);
      next_.Apply(std::move(changes));
    }
    void Synced() override { next_.Synced(); }

   private:
    status::StatusWriter& writer_;
    api::Sink& next_;
  };
};

absl::StatusOr<World> MakeWorld(const Flags& flags) {
  World world;
  if (!flags.manifests.empty()) {
    world.manifests = std::make_unique<file::ManifestSource>(flags.manifests);
    return world;
  }
  CONTOUR_ASSIGN_OR_RETURN(
      kube::ServerConfig server,
      kube::LoadServerConfig({.in_cluster = flags.in_cluster, .kubeconfig = flags.kubeconfig}));
  CONTOUR_ASSIGN_OR_RETURN(std::shared_ptr<kube::Credentials> credentials,
                           kube::Credentials::Create(std::move(server)));
  // As many as an API server takes easily; when it doesn't, it says 429, which the client heeds.
  world.client = std::make_unique<kube::Client>(
      credentials, kube::ClientOptions{.per_second = 500, .burst = 500});
  world.writer = std::make_unique<status::StatusWriter>(
      [client = world.client.get()](const api::ObjectRef& ref, const std::string& version,
                                    const graph::Status& status, status::StatusWriter::Done done) {
        client->Send(
            kube::MergePatchStatus(ref, version, status::StatusJson(status)),
            [done = std::move(done)](const kube::Response& response) { done(response.status); });
      },
      status::StatusWriter::Options());
  kube::ClusterSourceOptions options;
  options.watch_namespaces = SplitList(flags.watch_namespaces);
  options.secret_namespaces = SplitList(flags.root_namespaces);
  world.cluster = std::make_unique<kube::ClusterSource>(std::move(credentials), std::move(options));
  return world;
}

// Tells what became of the objects: in the log, and in files if asked for.
class StatusReport {
 public:
  StatusReport(const std::string& directory, status::StatusWriter* writer) : writer_(writer) {
    if (!directory.empty()) files_.emplace(directory);
  }

  void Report(const core::Pipeline::Output& output) {
    for (const auto& [ref, status] : output.statuses) {
      if (status) {
        log::Info("status", "status",
                  {{"kind", api::KindName(ref.kind)},
                   {"namespace", ref.ns},
                   {"name", ref.name},
                   {"status", status->current_status},
                   {"description", status->description}});
      }
      if (writer_ != nullptr) writer_->Want(ref, status);
      if (!files_) continue;
      if (const absl::Status written = files_->Write(ref, status); !written.ok()) {
        log::Error("status", "failed to set status",
                   {{"kind", api::KindName(ref.kind)},
                    {"namespace", ref.ns},
                    {"name", ref.name},
                    {"error", Message(written)}});
      }
    }
    for (const graph::Problem& problem : output.problems) {
      log::Warning("graph", problem.text,
                   {{"kind", api::KindName(problem.object.kind)},
                    {"namespace", problem.object.ns},
                    {"name", problem.object.name}});
    }
  }

 private:
  status::StatusWriter* writer_;  // nullptr: no API server
  std::optional<status::StatusFiles> files_;
};

// Every kind once for one name, as the text format wants it.
void AddKinds(const std::vector<kube::KindStats>& kinds, admin::MetricsText& text) {
  const auto each = [&](const char* name, const char* help, bool counter, auto value) {
    for (const kube::KindStats& kind : kinds) {
      const admin::MetricsText::Labels labels = {{"kind", std::string(api::KindName(kind.kind))}};
      const auto number = static_cast<double>(value(kind));
      if (counter) {
        text.Counter(name, help, labels, number);
      } else {
        text.Gauge(name, help, labels, number);
      }
    }
  };
  using Stats = kube::KindStats;
  each("contour_kube_objects", "Objects that are known", false,
       [](const Stats& kind) { return kind.objects; });
  each("contour_kube_events_total", "Watch events received", true,
       [](const Stats& kind) { return kind.events; });
  each("contour_kube_lists_total", "Complete lists", true,
       [](const Stats& kind) { return kind.lists; });
  each("contour_kube_failures_total", "Lists and watches that failed", true,
       [](const Stats& kind) { return kind.failures; });
  each("contour_kube_bad_objects_total", "Objects that could not be read", true,
       [](const Stats& kind) { return kind.bad_objects; });
  each("contour_kube_forbidden", "1 if the permission to read the kind is missing", false,
       [](const Stats& kind) { return kind.forbidden; });
  each("contour_kube_absent", "1 if the kind is not installed", false,
       [](const Stats& kind) { return kind.absent; });
  each("contour_kube_silence_seconds", "Time since anything was received for the kind", false,
       [](const Stats& kind) {
         return std::chrono::duration<double>(kind.since_last_received.value_or(0ms)).count();
       });
}

void AddManifests(const file::ManifestSource& source, admin::MetricsText& text) {
  const file::ManifestStats stats = source.Stats();
  text.Gauge("contour_manifests_files", "Manifest files that are known", {},
             static_cast<double>(stats.files));
  text.Gauge("contour_manifests_objects", "Objects of manifests that are in force", {},
             static_cast<double>(stats.objects));
  text.Gauge("contour_manifests_problems", "Manifest files with a problem now", {},
             static_cast<double>(source.Problems().size()));
  text.Counter("contour_manifests_failed_reads_total", "Reads of a manifest that failed", {},
               static_cast<double>(stats.failed_reads));
}

// The certificates that Envoys are given: when they expire. An expired one is served all the same,
// since a browser's warning is better than a closed port, but somebody must know.
class Certificates {
 public:
  void Report(const core::Pipeline::Output& output) {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, secret] : output.secrets) {
      const auto known = in_use_.find(name);
      if (secret == nullptr) {
        if (known != in_use_.end()) in_use_.erase(known);
        continue;
      }
      const bool changed = known == in_use_.end() || known->second->not_after != secret->not_after;
      in_use_.insert_or_assign(name, secret);
      if (!changed || secret->not_after > std::time(nullptr)) continue;
      log::Warning(kContext, "serving certificate has expired",
                   {{"kind", "Secret"},
                    {"namespace", secret->ns},
                    {"name", secret->name},
                    {"not_after", secret->not_after}});
    }
  }

  void AddTo(admin::MetricsText& text) const {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, secret] : in_use_) {
      text.Gauge("contour_serving_certificate_not_after_seconds",
                 "When a certificate that is served expires, in seconds since 1970",
                 {{"namespace", secret->ns}, {"name", secret->name}},
                 static_cast<double>(secret->not_after));
    }
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, graph::ServingSecretPtr> in_use_;  // by resource name
};

void AddStatuses(const status::StatusWriter::Statistics& statuses, admin::MetricsText& text) {
  text.Counter("contour_status_written_total", "Statuses written", {},
               static_cast<double>(statuses.written));
  text.Counter("contour_status_conflicts_total",
               "Writes of a status that came too late for the object", {},
               static_cast<double>(statuses.conflicts));
  text.Counter("contour_status_failures_total", "Writes of a status that failed", {},
               static_cast<double>(statuses.failures));
  text.Gauge("contour_status_waiting", "Objects whose status is not right yet", {},
             static_cast<double>(statuses.waiting));
}

std::string Metrics(const World& world, const core::Core& core, const xds::Server& server,
                    const Certificates& certificates) {
  admin::MetricsText text;
  certificates.AddTo(text);
  if (world.cluster != nullptr) AddKinds(world.cluster->GetStats().kinds, text);
  if (world.manifests != nullptr) AddManifests(*world.manifests, text);
  if (world.writer != nullptr) AddStatuses(world.writer->statistics(), text);
  text.Gauge("contour_build_info", "Version of the program", {{"version", CONTOUR_VERSION}}, 1);
  const core::Core::Statistics work = core.statistics();
  text.Counter("contour_core_batches_total", "Batches of changes that were built", {},
               static_cast<double>(work.batches));
  text.Counter("contour_core_changes_total", "Changes of objects that were taken in", {},
               static_cast<double>(work.changes));
  text.Counter("contour_core_busy_seconds_total", "Time in derivation, translation and publishing",
               {}, std::chrono::duration<double>(work.busy).count());
  const xds::Metrics streams = server.GetMetrics();
  text.Gauge("contour_xds_envoys", "Connected Envoys", {}, static_cast<double>(streams.sessions));
  text.Gauge("contour_xds_streams", "Open xDS streams", {}, static_cast<double>(streams.streams));
  text.Gauge("contour_xds_held",
             "Virtual hosts and other resources that wait for their clusters to be warm", {},
             static_cast<double>(streams.held));
  text.Counter("contour_xds_released_total", "Of these, those that a time-out released", {},
               static_cast<double>(streams.counters.released));
  text.Counter("contour_xds_sent_bytes_total", "Bytes of xDS responses", {},
               static_cast<double>(streams.bytes));
  for (const xds::TypeInfo& type : xds::kTypes) {
    text.Counter("contour_xds_responses_total", "xDS responses sent",
                 {{"type", std::string(type.name)}},
                 static_cast<double>(streams.counters.responses[xds::Index(type.type)]));
  }
  for (const xds::TypeInfo& type : xds::kTypes) {
    text.Counter("contour_xds_rejections_total", "xDS responses that an Envoy refused",
                 {{"type", std::string(type.name)}},
                 static_cast<double>(streams.counters.rejections[xds::Index(type.type)]));
  }
  return text.String();
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
       .metrics = [&] { return Metrics(world, core, server, certificates); }});
  CONTOUR_RETURN_IF_ERROR(health.Start().status());

  core.Start();
  CONTOUR_RETURN_IF_ERROR(world.Start(core.AddSource()));
  const int exit_code = lifecycle.Run();

  serving = false;
  world.Stop();
  server.Stop(kStopDeadline);
  core.Stop();
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
