// SPDX-License-Identifier: Apache-2.0
// Speaks the protocol of credential plugins, client.authentication.k8s.io/v1: it writes the
// variable KUBERNETES_EXEC_INFO, and reads the ExecCredential that they print. Pure.

#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "kube/server_config.h"

namespace contour::kube {

struct ExecCredential {
  std::string token;
  std::string cert_pem;
  std::string key_pem;
  std::optional<std::chrono::system_clock::time_point> expires;  // unset: until it is refused
};

// Returns the JSON for KUBERNETES_EXEC_INFO. `ca_pem` is the CA of the server; it is included only
// if the plugin asks for the cluster's data.
std::string ExecInfo(const ServerConfig& config, std::string_view ca_pem);

// Parses an ExecCredential. Errors are kInvalidArgument, and never have a part of the text.
absl::StatusOr<ExecCredential> ParseExecCredential(std::string_view json,
                                                   std::string_view api_version);

}  // namespace contour::kube
