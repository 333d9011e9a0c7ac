// SPDX-License-Identifier: Apache-2.0
// serve: wires the rooms. Objects come from a source, go through the core thread, and leave as
// snapshots to the xDS server and as statuses.
//
//   start: health port (alive, not ready) → TLS files → core → source → first build → (lock →) xDS
//          port → ready
//   stop: not ready → source → core → statuses written → lock released → streams and port closed →
//         health port

#include "config/serve.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "admin/debug_server.h"
#include "admin/health_server.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/status.h"
#include "cmd/command.h"
#include "cmd/lifecycle.h"
#include "cmd/serve/debug.h"
#include "cmd/serve/metrics.h"
#include "cmd/serve/options.h"
#include "config/flags.h"
#include "core/core.h"
#include "envoy/adapt.h"
#include "leader/replica_role.h"
#include "serve/config_file.h"
#include "serve/connections.h"
#include "serve/fallback.h"
#include "serve/own_certificates.h"
#include "serve/port_probe.h"
#include "serve/rejection.h"
#include "serve/reports.h"
#include "status/envoy_rejections.h"
#include "xds/grpc/server.h"

namespace contour::cmd {
namespace {

constexpr std::string_view kContext = "serve";
constexpr std::chrono::seconds kStopDeadline{5};
constexpr std::chrono::seconds kDrainDeadline{2};    // of statuses that are not written yet
constexpr std::chrono::seconds kReleaseDeadline{2};  // of the lock
constexpr std::chrono::seconds kPatience{2};         // for an answer of the core
// When other replicas serve, the streams end over this time, so that Envoys don't all connect to
// them at once.
constexpr std::chrono::seconds kSpread{1};

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

// Joins the remarks that aren't empty into one line.
std::string Joined(std::initializer_list<std::string> remarks) {
  std::string all;
  for (const std::string& remark : remarks) {
    if (!remark.empty()) all += (all.empty() ? "" : "; ") + remark;
  }
  return all;
}

// Returns why the process isn't ready; empty: it is. A process that has never known all objects
// isn't ready while the API server gives other answers, although the port serves the snapshot file:
// other replicas may know more, and a rollout must not go on without a right.
std::string NotReady(const serve::OwnCertificates& keys, const leader::ReplicaRole& role,
                     const serve::Connections& connections, bool built) {
  if (std::string why = keys.NotReady(); !why.empty()) return why;
  const std::string unknown = built ? std::string() : connections.NeverKnown();
  return unknown.empty() ? role.NotReady() : "objects are not synced yet: " + unknown;
}

// Returns the objects from which the core made a resource; nullopt: the core is too busy.
std::optional<std::vector<status::SourceObject>> SourcesOf(core::Core& core,
                                                           const xds::ResourceKey& item,
                                                           std::size_t most) {
  const auto views = core.Ask(
      [item, most](const core::Pipeline& pipeline) {
        return pipeline.provenance().SourcesOf(item, most);
      },
      kPatience);
  if (!views) return std::nullopt;
  std::vector<status::SourceObject> sources;
  for (const graph::ObjectView& view : *views)
    sources.push_back({view.ref, view.uid, view.resource_version});
  return sources;
}

absl::StatusOr<int> Run(const std::shared_ptr<const config::LoadedServe>& loaded,
                        const config::GivenFlags& flags) {
  const config::Serve& config = loaded->serve();
  log::SetFormat(config.log_format);
  if (config.debug) log::SetLevel(log::Level::kDebug);
  CONTOUR_RETURN_IF_ERROR(CheckFolders(config));
  CONTOUR_RETURN_IF_ERROR(CheckAccessLogs(config));
  CONTOUR_RETURN_IF_ERROR(CheckListeners(config));
  CONTOUR_RETURN_IF_ERROR(CheckXdsAddress(config));
  Lifecycle lifecycle;
  CONTOUR_ASSIGN_OR_RETURN(std::optional<serve::OwnCertificates::Files> tls, TLSOf(config));
  WarnOfConfig(config);
  CONTOUR_ASSIGN_OR_RETURN(serve::Connections connections, serve::MakeConnections(config));
  const serve::ConfigFile config_file(loaded, flags);
  xds::LogThroughOurs();

  std::atomic<core::Core*> follower = nullptr;  // the core, while there is one
  status::EnvoyRejections rejections(connections.client.get());
  const auto report_rejection = [&](const xds::QuarantineView& view, bool ended) {
    rejections.Add(serve::RejectionOf(view, ended,
                                      [&follower](const xds::ResourceKey& item, std::size_t most) {
                                        return SourcesOf(*follower, item, most);
                                      }));
  };
  xds::Server server(
      {.address = config.xds_address,
       .port = config.xds_port,
       .tls = tls.has_value(),
       .connection_age = config.xds_connection_age,
       .adapt = AdaptToStream,
       .on_quarantine = [&](const xds::QuarantineView& view) { report_rejection(view, false); },
       .on_release = [&](const xds::QuarantineView& view) { report_rejection(view, true); },
       .follow =
           [&](const xds::StandInNeeds& needs) {
             if (core::Core* const built_by = follower) built_by->Follow(needs);
           }});
  serve::StatusReport report(config.status_dir, connections.writer.get(),
                             connections.ingress_addresses.get(),
                             [&connections] { return connections.IsUnsure(); });
  core::Core::Options options = CoreOptions(config);
  options.pipeline.graph.unread_kinds = connections.left_out;

  serve::Certificates certificates;
  serve::BuildCounts builds;
  options.observer = [&](const core::Core::Batch& batch) { builds.Observe(batch); };
  std::atomic<bool> stopping = false;
  absl::Status failure;
  CONTOUR_ASSIGN_OR_RETURN(const std::optional<leader::ReplicaRole::Electing> electing,
                           ElectingOf(config, connections));
  serve::PortProbe port_probe;
  // The port opens only after the first complete build, so that no Envoy sees an earlier state.
  leader::ReplicaRole role(
      {.open =
           [&] {
             const absl::StatusOr<int> port = server.Start();
             if (!port.ok()) {
               failure = port.status();
               lifecycle.End(1);
               return false;
             }
             port_probe.Opened(*port);
             log::Info(kContext, "xDS server listening",
                       {{"address", config.xds_address}, {"port", *port}});
             return true;
           },
       .close =
           [&] {
             port_probe.Closed();
             server.Stop(kStopDeadline, kSpread);
             log::Info(kContext, "xDS server closed");
           },
       .set_writing =
           [&](bool ours) {
             if (connections.writer != nullptr) connections.writer->SetActive(ours);
           },
       .post = [&](std::function<void()> work) { lifecycle.Post(std::move(work)); }},
      electing);
  *connections.may_write = [&role] { return role.MayWrite(); };
  serve::OwnCertificates own_certificates(std::move(tls));
  serve::Fallback fallback(
      {.path = config.snapshot_file},
      {.away = [&] { return connections.ApiServerIsAway(); },
       .unknown = [&] { return connections.NeverKnown(); },
       .publish = [&](const xds::SnapshotPtr& snapshot) { server.Publish(snapshot); },
       .remember = [&](const xds::SnapshotPtr& past) { server.Remember(past); },
       .served = [&] { role.Remembered(); }});
  xds::SnapshotPtr published;
  core::Core core(options, [&](const core::Pipeline::Output& output) {
    const bool first = published == nullptr;
    if (output.snapshot != published) fallback.Publish(output.snapshot);
    published = output.snapshot;
    report.Report(output);
    certificates.Report(output);
    if (first) role.Built();
  });
  follower = &core;

  admin::HealthServer health(config.http_address, config.http_port,
                             {.not_alive =
                                  [&] {
                                    const std::string why = role.NotAlive();
                                    return why.empty() ? port_probe.NotAlive() : why;
                                  },
                              .not_ready =
                                  [&] {
                                    if (stopping) return std::string("stopping");
                                    return NotReady(own_certificates, role, connections,
                                                    core.built());
                                  },
                              .remark =
                                  [&] {
                                    return Joined({fallback.Remark(), connections.Remark(),
                                                   own_certificates.Remark(), role.Remark()});
                                  },
                              .metrics =
                                  [&] {
                                    return Metrics(connections, core, server, certificates, role,
                                                   builds, config_file, own_certificates, fallback);
                                  }});
  CONTOUR_RETURN_IF_ERROR(health.Start().status());
  admin::DebugServer debug(config.debug_http_address, config.debug_http_port,
                           DebugViews(core, server));
  CONTOUR_RETURN_IF_ERROR(debug.Start().status());

  const HeapTrimmer trimmer;
  api::Sink& source = core.AddSource();
  role.Start();
  own_certificates.Start([&](xds::TLSKeysPtr keys) {
    server.SetTLS(std::move(keys));
    role.KeysAreGood();
  });
  if (!own_certificates.wanted()) role.KeysAreGood();
  report.Start();
  fallback.Start();
  core.Start();
  CONTOUR_RETURN_IF_ERROR(connections.Start(source));
  rejections.Start();
  const int exit_code = lifecycle.Run();

  stopping = true;
  port_probe.Closed();
  debug.Stop();
  rejections.Stop();
  own_certificates.Stop();
  connections.StopSources();
  core.Stop();
  fallback.Stop();
  report.Stop();
  connections.StopWrites(kDrainDeadline);
  role.Leave(kReleaseDeadline);  // from here on the next one serves
  server.Stop(kStopDeadline, electing ? kSpread : std::chrono::seconds(0));
  health.Stop();
  if (!failure.ok()) return failure;
  log::Info(kContext, "stopped");
  return exit_code;
}

}  // namespace

std::function<int()> Serve(CLI::App& app) {
  const auto given = std::make_shared<config::GivenFlags>();
  config::AddFlags(config::LoadedServe().settings(), app, given);
  return [given] {
    absl::StatusOr<std::shared_ptr<const config::LoadedServe>> loaded =
        config::LoadServe(*given, config::ProcessEnvironment());
    if (!loaded.ok()) {
      fmt::print(stderr, "contour: error: {}, try --help\n", Message(loaded.status()));
      return 1;
    }
    const absl::StatusOr<int> exit_code = Run(*loaded, *given);
    if (exit_code.ok()) return *exit_code;
    fmt::print(stderr, "{}\n", Message(exit_code.status()));
    return 1;
  };
}

}  // namespace contour::cmd
