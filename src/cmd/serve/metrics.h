// SPDX-License-Identifier: Apache-2.0
// Collects the metrics of all rooms.

#pragma once

#include <string>

#include "core/core.h"
#include "leader/replica_role.h"
#include "serve/config_file.h"
#include "serve/connections.h"
#include "serve/fallback.h"
#include "serve/own_certificates.h"
#include "serve/reports.h"
#include "xds/grpc/server.h"

namespace contour::cmd {

// Returns them in the text format of Prometheus. Any thread.
std::string Metrics(const serve::Connections& connections, const core::Core& core,
                    const xds::Server& server, const serve::Certificates& certificates,
                    const leader::ReplicaRole& role, const serve::BuildCounts& builds,
                    const serve::ConfigFile& config_file,
                    const serve::OwnCertificates& own_certificates,
                    const serve::Fallback& fallback);

}  // namespace contour::cmd
