// SPDX-License-Identifier: Apache-2.0
// serve: wires the rooms. Objects come from a source, go through the core thread, and leave as
// snapshots to the xDS server and as statuses.
//
//   start: health port (alive, not ready) → TLS files → core → source → first build → (lock →) xDS
//          port → ready
//   stop: not ready → source → core → statuses written → lock released → streams told, port closed
//         → health port

#include "config/serve.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "admin/debug_server.h"
#include "admin/health_server.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/status.h"
#include "cmd/command.h"
#include "cmd/lifecycle.h"
#include "cmd/serve/config_file.h"
#include "cmd/serve/debug.h"
#include "cmd/serve/events.h"
#include "cmd/serve/fallback.h"
#include "cmd/serve/fleet.h"
#include "cmd/serve/metrics.h"
#include "cmd/serve/options.h"
#include "cmd/serve/own_certificates.h"
#include "cmd/serve/port_probe.h"
#include "cmd/serve/reports.h"
#include "cmd/serve/world.h"
#include "config/flags.h"
#include "core/core.h"
#include "envoy/adapt.h"
#include "xds/grpc/server.h"

namespace contour::cmd {
namespace {

constexpr std::string_view kContext = "serve";
constexpr std::chrono::seconds kStopDeadline{5};
constexpr std::chrono::seconds kDrainDeadline{2};    // of statuses that are not written yet
constexpr std::chrono::seconds kReleaseDeadline{2};  // of the lock
// Over this time the streams end when others serve, so that Envoys don't come to them all at once.
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

// Joins the remarks that say something into one line.
std::string Joined(std::initializer_list<std::string> remarks) {
  std::string all;
  for (const std::string& remark : remarks) {
    if (!remark.empty()) all += (all.empty() ? "" : "; ") + remark;
  }
  return all;
}

// Returns why the process isn't ready; empty: it is. One that has never known all objects isn't
// while the API server answers something else, though the port serves what the snapshot file has:
// others may know more, and a rollout must not go on without a right.
std::string NotReady(const OwnCertificates& keys, const Fleet& fleet, const World& world,
                     bool built) {
  if (std::string why = keys.NotReady(); !why.empty()) return why;
  const std::string unknown = built ? std::string() : world.NeverKnown();
  return unknown.empty() ? fleet.NotReady() : "objects are not synced yet: " + unknown;
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
  CONTOUR_ASSIGN_OR_RETURN(std::optional<OwnCertificates::Files> tls, TLSOf(config));
  WarnOfConfig(config);
  CONTOUR_ASSIGN_OR_RETURN(World world, MakeWorld(config));
  const ConfigFile config_file(loaded, flags);
  xds::LogThroughOurs();

  RefusalReport refusals(world.client.get());
  std::atomic<core::Core*> follower = nullptr;  // the core, while there is one
  xds::Server server(
      {.address = config.xds_address,
       .port = config.xds_port,
       .tls = tls.has_value(),
       .connection_age = config.xds_connection_age,
       .adapt = AdaptToStream,
       .on_quarantine = [&](const xds::QuarantineView& view) { refusals.Add(view, true); },
       .on_release = [&](const xds::QuarantineView& view) { refusals.Add(view, false); },
       .follow =
           [&](const xds::StandInNeeds& needs) {
             if (core::Core* const built_by = follower) built_by->Follow(needs);
           }});
  StatusReport report(config.status_dir, world.writer.get(), world.ingress_addresses.get(),
                      [&world] { return world.IsUnsure(); });
  core::Core::Options options = CoreOptions(config);
  options.pipeline.graph.unread_kinds = world.left_out;

  Certificates certificates;
  BuildCounts builds;
  options.observer = [&](const core::Core::Batch& batch) { builds.Observe(batch); };
  std::atomic<bool> stopping = false;
  absl::Status failure;
  CONTOUR_ASSIGN_OR_RETURN(std::optional<FleetOptions> fleet_options,
                           FleetOptionsOf(config, world));
  const bool alone = !fleet_options.has_value();
  PortProbe port_probe;
  // No Envoy is to see anything before the first build is complete: only then the port opens.
  Fleet fleet(std::move(fleet_options), lifecycle,
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
               .writes =
                   [&](bool ours) {
                     if (world.writer != nullptr) world.writer->SetActive(ours);
                   }});
  *world.may_write = [&fleet] { return fleet.MayWrite(); };
  OwnCertificates own_certificates(std::move(tls));
  Fallback fallback({.path = config.snapshot_file},
                    {.away = [&] { return world.ApiServerIsAway(); },
                     .unknown = [&] { return world.NeverKnown(); },
                     .publish = [&](const xds::SnapshotPtr& snapshot) { server.Publish(snapshot); },
                     .remember = [&](const xds::SnapshotPtr& past) { server.Remember(past); },
                     .served = [&] { fleet.Remembered(); }});
  xds::SnapshotPtr published;
  core::Core core(options, [&](const core::Pipeline::Output& output) {
    const bool first = published == nullptr;
    if (output.snapshot != published) fallback.Publish(output.snapshot);
    published = output.snapshot;
    report.Report(output);
    certificates.Report(output);
    if (first) fleet.Built();
  });
  follower = &core;

  admin::HealthServer health(config.http_address, config.http_port,
                             {.not_alive =
                                  [&] {
                                    const std::string why = fleet.NotAlive();
                                    return why.empty() ? port_probe.NotAlive() : why;
                                  },
                              .not_ready =
                                  [&] {
                                    if (stopping) return std::string("stopping");
                                    return NotReady(own_certificates, fleet, world, core.built());
                                  },
                              .remark =
                                  [&] {
                                    return Joined({fallback.Remark(), world.Remark(),
                                                   own_certificates.Remark(), fleet.Remark()});
                                  },
                              .metrics =
                                  [&] {
                                    return Metrics(world, core, server, certificates, fleet, builds,
                                                   config_file, own_certificates, fallback);
                                  }});
  CONTOUR_RETURN_IF_ERROR(health.Start().status());
  admin::DebugServer debug(config.debug_http_address, config.debug_http_port,
                           DebugViews(core, server));
  CONTOUR_RETURN_IF_ERROR(debug.Start().status());

  const HeapTrimmer trimmer;
  api::Sink& source = core.AddSource();
  fleet.Start();
  own_certificates.Start([&](xds::TLSKeysPtr keys) {
    server.SetTLS(std::move(keys));
    fleet.KeysAreGood();
  });
  if (!own_certificates.wanted()) fleet.KeysAreGood();
  report.Start();
  fallback.Start();
  core.Start();
  CONTOUR_RETURN_IF_ERROR(world.Start(source));
  refusals.Start(core);
  const int exit_code = lifecycle.Run();

  stopping = true;
  port_probe.Closed();
  debug.Stop();
  refusals.Stop();
  own_certificates.Stop();
  world.StopSources();
  core.Stop();
  fallback.Stop();
  report.Stop();
  world.StopWrites(kDrainDeadline);
  fleet.Leave(kReleaseDeadline);  // from here on the next one serves
  server.Stop(kStopDeadline, alone ? std::chrono::seconds(0) : kSpread);
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
