// SPDX-License-Identifier: Apache-2.0
// Serves the debug pages, on loopback unless configured otherwise (docs/debugging.md explains
// them):
//
//   /debug/dag         what is served, as Graphviz or JSON; ?host= ?object= ?format=json ?limit=
//   /debug/explain     the effects of one object or host; ?object=[Kind/]namespace/name or ?host=
//   /debug/xds         what each Envoy has; ?node= ?type= ?resource= ?all=1 and pages
//   /debug/log-level   GET, and PUT with debug, info, warning or error as body
//   /debug/pprof/…     profiles, see profiles.h
//
// Nothing can be changed except the log level. Only a client on loopback may set that, and by PUT,
// which no web page of another origin can send. Nothing secret is shown.

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
  // The content of the pages; called on the server's threads. nullopt: the core is too busy.
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

  // Binds and begins to answer. Returns the port (useful with 0). The error names address and port.
  absl::StatusOr<std::uint16_t> Start() { return server_.Start(); }
  void Stop();

 private:
  HttpResponse Dag(const HttpRequest& request) const;
  HttpResponse Explain(const HttpRequest& request) const;
  HttpResponse Xds(const HttpRequest& request) const;
  HttpResponse CPUProfile(const HttpRequest& request);
  // Returns the objects that `text` may mean, if they are known or a host looked for them; nullopt:
  // the core is too busy.
  std::optional<std::vector<core::ObjectView>> FindObjects(const std::string& text) const;

  const Views views_;
  Profiles profiles_;
  HttpServer server_;
};

}  // namespace contour::admin
