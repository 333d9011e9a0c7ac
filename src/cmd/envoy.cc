// SPDX-License-Identifier: Apache-2.0
// envoy: the programs that run beside an Envoy in its pod, so that the pod's end breaks no request.

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>

#include "base/duration.h"
#include "base/log.h"
#include "base/status.h"
#include "cmd/command.h"
#include "cmd/envoy_shutdown.h"
#include "cmd/envoy_shutdown_manager.h"
#include "cmd/lifecycle.h"

namespace contour::cmd {
namespace {

struct ManagerFlags {
  std::string address = "0.0.0.0";
  std::uint16_t port = 8090;
  std::string ready_file = "/admin/ok";
};

absl::Status RunManager(const ManagerFlags& flags) {
  Lifecycle lifecycle;
  ShutdownManager manager(flags.address, flags.port, flags.ready_file);
  CONTOUR_RETURN_IF_ERROR(manager.Start().status());
  log::Info("shutdown", "shutdown manager listening",
            {{"address", flags.address}, {"port", flags.port}});
  lifecycle.Run();
  manager.Stop();
  return absl::OkStatus();
}

absl::Status RunShutdown(const ShutdownOptions& options) {
  std::error_code error;  // of an earlier run it would end the waiting at once
  std::filesystem::remove(options.ready_file, error);
  return Drain(options, RealShutdownActions(options));
}

std::function<int()> Exit(std::function<absl::Status()> run) {
  return [run = std::move(run)] {
    const absl::Status status = run();
    if (status.ok()) return 0;
    fmt::print(stderr, "contour: error: {}\n", Message(status));
    return 1;
  };
}

void AddDuration(CLI::App& app, const char* name, std::chrono::nanoseconds& value,
                 const char* default_text, const char* text) {
  app.add_option_function<std::string>(
         name,
         [name, &value](const std::string& written) {
           const std::optional<std::chrono::nanoseconds> parsed = ParseDuration(written);
           if (!parsed || parsed->count() < 0)
             throw CLI::ValidationError(
                 name, fmt::format("expected a duration like 5s or 1m30s, got \"{}\"", written));
           value = *parsed;
         },
         text)
      ->default_str(default_text);
}

}  // namespace

std::function<int()> Envoy(CLI::App& app) {
  app.require_subcommand(1);
  const auto chosen = std::make_shared<std::function<int()>>();

  const auto manager = std::make_shared<ManagerFlags>();
  CLI::App* manager_app = app.add_subcommand(
      "shutdown-manager", "answer Envoy's preStop hook once its connections are drained");
  manager_app->add_option("--serve-address", manager->address, "address to listen on")
      ->capture_default_str();
  manager_app->add_option("--serve-port", manager->port, "port to listen on")
      ->capture_default_str();
  manager_app
      ->add_option("--ready-file", manager->ready_file,
                   "file that is there when Envoy may end; written by `contour envoy shutdown`")
      ->capture_default_str();
  manager_app->callback(
      [chosen, manager] { *chosen = Exit([manager] { return RunManager(*manager); }); });

  const auto options = std::make_shared<ShutdownOptions>();
  CLI::App* shutdown_app = app.add_subcommand(
      "shutdown", "make Envoy fail its health check, and wait until its connections are gone");
  shutdown_app
      ->add_option("--admin-address", options->admin_address,
                   "Envoy's admin interface: path of the Unix socket, or loopback address")
      ->capture_default_str();
  shutdown_app->add_option("--admin-port", options->admin_port, "its port, with an address")
      ->capture_default_str();
  shutdown_app->add_option("--ready-file", options->ready_file, "file to write when Envoy may end")
      ->capture_default_str();
  AddDuration(*shutdown_app, "--drain-delay", options->drain_delay, "5s",
              "time to wait before draining begins, in which balancers learn from Kubernetes that "
              "the pod ends");
  AddDuration(*shutdown_app, "--check-delay", options->check_delay, "5s",
              "time to wait before connections are counted first, in which balancers that probe "
              "Envoy's health see it fail");
  AddDuration(*shutdown_app, "--check-interval", options->check_interval, "5s",
              "time between two counts");
  AddDuration(*shutdown_app, "--drain-timeout", options->drain_timeout, "4m40s",
              "time after which Envoy may end with connections open");
  shutdown_app
      ->add_option("--min-open-connections", options->min_open_connections,
                   "HTTP connections that may be open at the end")
      ->capture_default_str();
  shutdown_app->callback(
      [chosen, options] { *chosen = Exit([options] { return RunShutdown(*options); }); });
  return [chosen] { return (*chosen)(); };
}

}  // namespace contour::cmd
