// SPDX-License-Identifier: Apache-2.0
// The figures of all rooms, as /metrics gives them.

#pragma once

#include <string>

#include "cmd/serve/config_file.h"
#include "cmd/serve/fallback.h"
#include "cmd/serve/fleet.h"
#include "cmd/serve/own_certificates.h"
#include "cmd/serve/reports.h"
#include "cmd/serve/world.h"
#include "core/core.h"
#include "xds/grpc/server.h"

namespace contour::cmd {

// The text format of Prometheus. Any thread.
std::string Metrics(const World& world, const core::Core& core, const xds::Server& server,
                    const Certificates& certificates, const Fleet& fleet, const BuildCounts& builds,
                    const ConfigFile& config_file, const OwnCertificates& own_certificates,
                    const Fallback& fallback);

}  // namespace contour::cmd
