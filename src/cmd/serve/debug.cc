// SPDX-License-Identifier: Apache-2.0
#include "cmd/serve/debug.h"

#include <chrono>
#include <utility>
#include <vector>

namespace contour::cmd {
namespace {

// A first build of 10,000 hosts takes about as long, and nothing else does.
constexpr std::chrono::seconds kPatience{3};
constexpr std::chrono::seconds kWorkerPatience{3};  // likewise, with many Envoys that come at once
// If an object has more hosts, such as a Service or Secret that all use, only the first are
// described.
constexpr std::size_t kMostHosts = 50;

}  // namespace

admin::DebugServer::Views DebugViews(core::Core& core, const xds::Server& server) {
  return {.virtual_hosts =
              [&core] {
                return core.Ask(
                    [](const core::Pipeline& pipeline) { return pipeline.engine().VirtualHosts(); },
                    kPatience);
              },
          .names =
              [&core] {
                return core.Ask([](const core::Pipeline& pipeline) { return pipeline.names(); },
                                kPatience);
              },
          .host =
              [&core](const std::string& host) {
                return core.Ask(
                    [host](const core::Pipeline& pipeline) { return pipeline.DescribeHost(host); },
                    kPatience);
              },
          .object =
              [&core](const api::ObjectRef& ref) {
                return core.Ask(
                    [ref](const core::Pipeline& pipeline) {
                      return pipeline.DescribeObject(ref, kMostHosts);
                    },
                    kPatience);
              },
          .envoys =
              [&server](const xds::ViewFilter& filter) {
                return server.Sessions(filter, kWorkerPatience);
              },
          .fates =
              [&server](std::vector<xds::ResourceQuestion> resources) {
                return server.Fates(std::move(resources), kWorkerPatience);
              },
          .quarantined = [&server] { return server.Quarantined(); }};
}

}  // namespace contour::cmd
