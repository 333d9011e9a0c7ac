// SPDX-License-Identifier: Apache-2.0

#include "envoy/bootstrap.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "base/host_name.h"
#include "base/read_file.h"
#include "base/status.h"
#include "certgen/ca_file.h"
#include "cmd/command.h"
#include "crypto/checks.h"

namespace contour::cmd {
namespace {

struct Flags {
  envoy::BootstrapOptions options;
  std::string path;
  std::string mode = "delta-ads";
};

std::string NodeId() {
  const std::string pod = PodName();
  return pod.empty() ? HostName() : pod;
}

int CantWrite(const std::string& path) {
  fmt::print(stderr, "{}: can't be written\n", path);
  return 1;
}

bool Write(const std::string& path, const std::string& content) {
  std::ofstream file(path, std::ios::trunc);
  file << content;
  file.close();
  return !file.fail();
}

// Writes a file in one step, since a running Envoy may watch it: Envoy reads it when it is moved
// there, and never sees half of it.
bool WriteResource(const envoy::ResourceFile& file) {
  const std::string temporary = file.path + ".new";
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(file.path).parent_path(), error);
  if (error || !Write(temporary, file.content)) return false;
  std::filesystem::rename(temporary, file.path, error);
  return !error;
}

// Returns the file of the CA that exists, under either of its two names.
void ChooseCAFile(std::string& path) {
  const certgen::CAFile found = certgen::FindCAFile(path);
  if (found.path != path) {
    fmt::print(stderr, "--envoy-cafile: {} is not there, {} is used\n", path, found.path);
  }
  if (!found.passed_over.empty()) {
    fmt::print(stderr, "--envoy-cafile: {} is used, {} differs and is passed over\n", found.path,
               found.passed_over);
  }
  path = found.path;
}

// Returns which of Envoy's files can't be used. Envoy itself would report it at its first
// connection. Files that don't exist are ignored, since the bootstrap may be written on another
// machine.
void WarnOfBadFiles(const envoy::BootstrapOptions& options) {
  const auto tell = [](const std::string& file, const absl::Status& status) {
    if (!status.ok()) fmt::print(stderr, "{}: can't be used: {}\n", file, Message(status));
  };
  const absl::StatusOr<std::string> certificate = ReadFile(options.cert_file);
  const absl::StatusOr<std::string> key = ReadFile(options.key_file);
  if (certificate.ok() && key.ok()) {
    const crypto::PairProblem problem = crypto::CheckPair(*certificate, *key);
    tell(options.cert_file, problem.certificate);
    tell(options.key_file, problem.key);
  }
  if (const absl::StatusOr<std::string> ca = ReadFile(options.ca_file); ca.ok()) {
    tell(options.ca_file, crypto::CheckCertificates(*ca));
  }
}

int Run(const Flags& flags) {
  envoy::BootstrapOptions options = flags.options;
  ChooseCAFile(options.ca_file);
  const absl::StatusOr<envoy::BootstrapMode> mode = envoy::ParseBootstrapMode(flags.mode);
  if (!mode.ok()) {
    fmt::print(stderr, "--xds-mode: {}\n", Message(mode.status()));
    return 1;
  }
  options.mode = *mode;
  if (options.node_id.empty()) options.node_id = NodeId();
  // Everything is checked before a file is written: a half-written bootstrap would start a wrong
  // Envoy.
  const absl::StatusOr<std::string> json = envoy::BootstrapJSON(options);
  if (!json.ok()) {
    fmt::print(stderr, "{}\n", Message(json.status()));
    return 1;
  }
  const absl::StatusOr<std::vector<envoy::ResourceFile>> resources =
      envoy::BootstrapResources(options);
  if (!resources.ok()) {
    fmt::print(stderr, "{}\n", Message(resources.status()));
    return 1;
  }
  WarnOfBadFiles(options);
  // Envoy needs these files when it starts, so they are written first.
  for (const envoy::ResourceFile& file : *resources) {
    if (!WriteResource(file)) return CantWrite(file.path);
  }
  if (flags.path == "-") {
    fmt::print("{}", *json);
    return 0;
  }
  return Write(flags.path, *json) ? 0 : CantWrite(flags.path);
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
  app.add_option("--admin-address", options.admin_address,
                 "loopback address, or absolute path of a Unix socket, of Envoy's admin interface")
      ->capture_default_str();
  app.add_option("--admin-port", options.admin_port, "port of Envoy's admin interface")
      ->capture_default_str();
  app.add_option(
         "--envoy-cafile", options.ca_file,
         "CA that signed contour's certificate; cacert.pem and ca.crt in its folder stand for "
         "each other")
      ->envname("ENVOY_CAFILE");
  app.add_option("--envoy-cert-file", options.cert_file, "certificate that Envoy shows")
      ->envname("ENVOY_CERT_FILE");
  app.add_option("--envoy-key-file", options.key_file, "key of that certificate")
      ->envname("ENVOY_KEY_FILE");
  app.add_option("--resources-dir", options.resources_dir,
                 "folder for files that name the certificates, so that Envoy sees renewed ones; "
                 "without it Envoy reads them once");
  app.add_option("--namespace", options.ns, "namespace of contour")
      ->envname("CONTOUR_NAMESPACE")
      ->capture_default_str();
  app.add_option("--node-id", options.node_id,
                 "name of this Envoy, unless it is started with --service-node; default: "
                 "$POD_NAME, else the host name");
  app.add_option("--node-cluster", options.node_cluster,
                 "fleet of this Envoy, unless it is started with --service-cluster")
      ->capture_default_str();
  app.add_option("--overload-max-heap", options.max_heap_bytes,
                 "bytes of heap near which Envoy sheds load; 0: no limit")
      ->capture_default_str();
  app.add_option("--overload-downstream-max-conn", options.max_downstream_connections,
                 "connections of clients above which Envoy closes new ones; 0: no limit")
      ->capture_default_str();
  return [flags] { return Run(*flags); };
}

}  // namespace contour::cmd
