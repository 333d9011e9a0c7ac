// SPDX-License-Identifier: Apache-2.0
// What the debug pages see of the running process.

#pragma once

#include "admin/debug_server.h"
#include "core/core.h"
#include "xds/grpc/server.h"

namespace contour::cmd {

// Both must outlive the server that uses the views.
admin::DebugServer::Views DebugViews(core::Core& core, const xds::Server& server);

}  // namespace contour::cmd
