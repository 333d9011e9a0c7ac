// SPDX-License-Identifier: Apache-2.0
// The debug pages, on loopback unless told otherwise (docs/debugging.md says how to use them):
//
//   /debug/dag         what is served, as Graphviz or JSON; ?host= ?object= ?format=json ?limit=
//   /debug/explain     the way of one object or host; ?object=[Kind/]namespace/name or ?host=
//   /debug/xds         what each Envoy has; ?node= ?type= ?resource= ?all=1 and pages
//   /debug/log-level   GET, and PUT with debug, info, warning or error as body
//   /debug/pprof/…     profiles, see profiles.h
//
// Read-only but for the log level, which only a client on loopback may set, and by PUT, which no
// web page of another origin can send. Nothing secret is shown.

#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "admin/http_server.h"
#include "admin/profiles.h"
#include "api/object.h"
#include "core/view.h"
#include "envoy/names.h"
#include "graph/model/host.h"
#include "xds/session/views.h"

namespace contour::admin {

class DebugServer {
 public:
  // What the pages show; called from the server's threads. nullopt: the core is too busy to say.
  struct Views {
    std::function<std::optional<std::vector<graph::VirtualHostPtr>>()> virtual_hosts;
    std::function<std::optional<envoy::Names>()> names = [] {
      return std::optional(envoy::Names());
    };
    std::function<std::optional<core::HostView>(const std::string& host)> host;
    std::function<std::optional<core::ObjectView>(const api::ObjectRef& ref)> object;
    std::function<xds::SessionViews(const xds::ViewFilter& filter)> envoys;
    std::function<xds::FleetFates(std::vector<xds::ResourceQuestion> resources)> fates;
    std::function<std::vector<xds::QuarantineView>()> quarantined;
  };

  DebugServer(std::string address, std::uint16_t port, Views views);
  ~DebugServer() { Stop(); }

  // Binds and begins to answer. Gives the port (useful with 0). The error names address and port.
  absl::StatusOr<std::uint16_t> Start() { return server_.Start(); }
  void Stop();

 private:
  HttpResponse Dag(const HttpRequest& request) const;
  HttpResponse Explain(const HttpRequest& request) const;
  HttpResponse Xds(const HttpRequest& request) const;
  HttpResponse CPUProfile(const HttpRequest& request);
  // The objects that `text` may mean and that are known or asked for; nullopt: too busy.
  std::optional<std::vector<core::ObjectView>> FindObjects(const std::string& text) const;

  const Views views_;
  Profiles profiles_;
  HttpServer server_;
};

}  // namespace contour::admin
