// SPDX-License-Identifier: Apache-2.0
// Finds and reads the configuration of the API server.
//
// Example, given `const std::string& path`:
//   CONTOUR_ASSIGN_OR_RETURN(ServerConfig config, LoadServerConfig({.kubeconfig = path}));
//
// The rules are those of kubectl; docs/kubernetes-client.md compares them. KUBECONFIG is a list of
// files separated by colons. If two entries have the same name, or two files a current-context, the
// first counts. Files of the list that don't exist are ignored. Relative paths in a file are
// relative to its folder. `…-data` wins over the corresponding file, and `tokenFile` over `token`.
//
// Some settings aren't supported, and are an error if the chosen user has them: username/password
// and auth-provider (removed from Kubernetes), impersonation (to ignore it would give other rights
// than were asked for), and plugins that need a terminal.
//
// Errors: kNotFound if there is no configuration, with the places that were tried; otherwise
// kInvalidArgument with file, entry and field. Credentials::Create checks the files that the
// configuration names.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "kube/environment.h"
#include "kube/server_config.h"

namespace contour::kube {

struct ServerConfigOptions {
  bool in_cluster = false;  // use the pod's service account and nothing else
  std::string kubeconfig;   // the only file to read; empty: $KUBECONFIG, ~/.kube/config, then the
                            // service account
  std::string context;      // of the kubeconfig; empty: its current-context
  std::string service_account_dir = "/var/run/secrets/kubernetes.io/serviceaccount";
  Environment environment = ProcessEnvironment();
};

absl::StatusOr<ServerConfig> LoadServerConfig(const ServerConfigOptions& options);

// One file of the list in KUBECONFIG, already read. `path` is absolute; messages and relative paths
// in the file need it.
struct KubeconfigFile {
  std::string path;
  std::string text;
};

// Returns the configuration that the files give. It reads no file. `context` empty: the
// current-context.
absl::StatusOr<ServerConfig> ParseKubeconfig(const std::vector<KubeconfigFile>& files,
                                             std::string_view context = "");

}  // namespace contour::kube
