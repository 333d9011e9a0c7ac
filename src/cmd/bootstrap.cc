// SPDX-License-Identifier: Apache-2.0

#include "envoy/bootstrap.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <memory>

#include "base/status.h"
#include "cmd/command.h"

namespace contour::cmd {
namespace {

struct Flags {
  envoy::BootstrapOptions options;
  std::string path;
  std::string mode = "delta-ads";
};

int Run(const Flags& flags) {
  envoy::BootstrapOptions options = flags.options;
  const absl::StatusOr<envoy::BootstrapMode> mode = envoy::ParseBootstrapMode(flags.mode);
  if (!mode.ok()) {
    fmt::print(stderr, "--xds-mode: {}\n", Message(mode.status()));
    return 1;
  }
  options.mode = *mode;
  // Nothing is touched before all is known to be right: a half-written bootstrap file would start a
  // wrong Envoy.
  const absl::StatusOr<std::string> json = envoy::BootstrapJSON(options);
  if (!json.ok()) {
    fmt::print(stderr, "{}\n", Message(json.status()));
    return 1;
  }
  if (flags.path == "-") {
    fmt::print("{}", *json);
    return 0;
  }
  std::ofstream file(flags.path, std::ios::trunc);
  file << *json;
  file.close();
  if (!file) {
    fmt::print(stderr, "{}: can't be written\n", flags.path);
    return 1;
  }
  return 0;
}

}  // namespace

std::function<int()> Bootstrap(CLI::App& app) {
  const auto flags = std::make_shared<Flags>();
  envoy::BootstrapOptions& options = flags->options;
  app.add_option("path", flags->path, "file to write; - for standard output")->required();
  app.add_option("--xds-mode", flags->mode, "how Envoy asks: delta-ads, sotw-ads, delta or sotw")
      ->capture_default_str();
  app.add_option("--xds-address", options.xds_address, "address of contour's xDS server")
      ->capture_default_str();
  app.add_option("--xds-port", options.xds_port, "port of contour's xDS server")
      ->capture_default_str();
  app.add_option("--admin-address", options.admin_address, "address of Envoy's admin interface")
      ->capture_default_str();
  app.add_option("--admin-port", options.admin_port, "port of Envoy's admin interface")
      ->capture_default_str();
  app.add_option("--envoy-cafile", options.ca_file, "CA that signed contour's certificate")
      ->envname("ENVOY_CAFILE");
  app.add_option("--envoy-cert-file", options.cert_file, "certificate that Envoy shows")
      ->envname("ENVOY_CERT_FILE");
  app.add_option("--envoy-key-file", options.key_file, "key of that certificate")
      ->envname("ENVOY_KEY_FILE");
  app.add_option("--namespace", options.ns, "namespace of contour")
      ->envname("CONTOUR_NAMESPACE")
      ->capture_default_str();
  return [flags] { return Run(*flags); };
}

}  // namespace contour::cmd
