// SPDX-License-Identifier: Apache-2.0
// The configuration in the words of the rooms that it is for.

#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "config/serve.h"
#include "core/core.h"
#include "leader/replica_role.h"
#include "serve/connections.h"
#include "serve/own_certificates.h"

namespace contour::cmd {

core::Core::Options CoreOptions(const config::Serve& config);

// nullopt: no election. Errors: an election without a cluster; times that don't fit together.
absl::StatusOr<std::optional<leader::ReplicaRole::Electing>> ElectingOf(
    const config::Serve& config, const serve::Connections& connections);

// The files of the xDS port's TLS, or nullopt with --insecure. Errors: some of the three flags are
// missing. The files are not looked at.
absl::StatusOr<std::optional<serve::OwnCertificates::Files>> TLSOf(const config::Serve& config);

// What is wrong with the configuration in ways that only the machine shows.
absl::Status CheckFolders(const config::Serve& config);

// Checks that the xDS port can be opened. kUnavailable: it can't.
absl::Status CheckXdsAddress(const config::Serve& config);

// Checks the addresses of Envoy's listeners: Envoy would refuse one that is no IP address, or that
// two listeners have.
absl::Status CheckListeners(const config::Serve& config);

// What Envoy would refuse.
absl::Status CheckAccessLogs(const config::Serve& config);

// Says in the log what a careful person would not have configured.
void WarnOfConfig(const config::Serve& config);

}  // namespace contour::cmd
