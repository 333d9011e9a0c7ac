// SPDX-License-Identifier: Apache-2.0
// Translates the configuration into the options of the rooms, and checks it.

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

// Returns the options of the election; nullopt: there is none. Fails if there is no cluster for it,
// or if its times don't fit together.
absl::StatusOr<std::optional<leader::ReplicaRole::Electing>> ElectingOf(
    const config::Serve& config, const serve::Connections& connections);

// Returns the files of the xDS port's TLS, or nullopt with --insecure. Fails if some of the three
// flags are missing. The files are not read.
absl::StatusOr<std::optional<serve::OwnCertificates::Files>> TLSOf(const config::Serve& config);

// Checks that the folders and files of the configuration don't contradict each other.
absl::Status CheckFolders(const config::Serve& config);

// Checks that the xDS port can be opened. kUnavailable: it can't be.
absl::Status CheckXdsAddress(const config::Serve& config);

// Checks the addresses of Envoy's listeners: Envoy would NACK a listener whose address is no IP
// address, or is that of another listener.
absl::Status CheckListeners(const config::Serve& config);

// Checks the access logs: Envoy would refuse a listener with a bad format.
absl::Status CheckAccessLogs(const config::Serve& config);

// Logs settings that are allowed but risky.
void WarnOfConfig(const config::Serve& config);

}  // namespace contour::cmd
