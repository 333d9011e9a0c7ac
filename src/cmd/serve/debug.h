// SPDX-License-Identifier: Apache-2.0
// Connects the debug pages with the running process.

#pragma once

#include "admin/debug_server.h"
#include "core/core.h"
#include "xds/grpc/server.h"

namespace contour::cmd {

// Returns the content of the pages. Both arguments must outlive the server that uses it.
admin::DebugServer::Views DebugViews(core::Core& core, const xds::Server& server);

}  // namespace contour::cmd
