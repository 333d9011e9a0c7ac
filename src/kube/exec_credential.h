// SPDX-License-Identifier: Apache-2.0
// The protocol of credential plugins, client.authentication.k8s.io/v1: what they are told in the
// variable KUBERNETES_EXEC_INFO, and the ExecCredential that they print. Pure.

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

// JSON. `ca_pem` is what the server is verified with; told only if the plugin asks for the
// cluster's data.
std::string ExecInfo(const ServerConfig& config, std::string_view ca_pem);

// Errors: kInvalidArgument; never with a part of the text.
absl::StatusOr<ExecCredential> ParseExecCredential(std::string_view json,
                                                   std::string_view api_version);

}  // namespace contour::kube
