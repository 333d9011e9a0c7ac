// SPDX-License-Identifier: Apache-2.0
// Finds and reads the configuration of the API server.
//
//   CONTOUR_ASSIGN_OR_RETURN(ServerConfig config, LoadServerConfig({.kubeconfig = path}));
//
// The rules are kubectl's: KUBECONFIG is a list of files separated by colons; of two entries with
// the same name, and of two current-contexts, the first counts; files of the list that don't exist
// are passed over; relative paths in a file are relative to its folder; `…-data` wins over the file
// of the same thing, `tokenFile` over `token`.
//
// Not supported, and refused when the chosen user has
// it: username/password and auth-provider (gone from Kubernetes), impersonation (ignoring it would
// act with other rights than were asked for), plugins that insist on a terminal.
//
// Errors: kNotFound if there is no configuration, with all that was tried; kInvalidArgument with
// file, entry and field otherwise. Files that the configuration names are checked by
// Credentials::Create.

#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "kube/server_config.h"

namespace contour::kube {

// nullopt: not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
Environment ProcessEnvironment();

struct ServerConfigOptions {
  bool in_cluster = false;  // only the pod's service account; else:
  std::string kubeconfig;   // this file and no other; empty: $KUBECONFIG, ~/.kube/config, then the
                            // service account
  std::string context;      // of the kubeconfig; empty: its current-context
  std::string service_account_dir = "/var/run/secrets/kubernetes.io/serviceaccount";
  Environment environment = ProcessEnvironment();
};

absl::StatusOr<ServerConfig> LoadServerConfig(const ServerConfigOptions& options);

// One file of a kubeconfig list, already read. `path` (absolute) is for messages and relative
// paths.
struct KubeconfigFile {
  std::string path;
  std::string text;
};

// The pure part: no file is touched. `context` empty: the current-context.
absl::StatusOr<ServerConfig> ParseKubeconfig(const std::vector<KubeconfigFile>& files,
                                             std::string_view context = "");

}  // namespace contour::kube
