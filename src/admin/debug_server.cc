// SPDX-License-Identifier: Apache-2.0

#include "admin/debug_server.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "base/strings.h"
#include "graph/model/host.h"
#include "report/dag.h"
#include "report/explain.h"
#include "report/xds_page.h"

namespace contour::admin {
namespace {

constexpr const char* kJson = "application/json";
constexpr std::chrono::seconds kProfileTime{30};  // as Go's
constexpr std::chrono::seconds kMostProfileTime{240};

constexpr const char* kIndex =
    "/debug/dag           what is served, as Graphviz; ?format=json ?host=HOST ?object=OBJECT\n"
    "                     ?limit=1000 virtual hosts\n"
    "/debug/explain       ?object=OBJECT or ?host=HOST: its way to the Envoys, and what is wrong\n"
    "/debug/xds           what each Envoy has; ?node=ID ?type=CDS ?resource=NAME ?all=1\n"
    "                     ?envoys=100 ?limit=1000 resources, and of further ones\n"
    "                     ?after=ENVOY ?after-resource=NAME\n"
    "/debug/log-level     GET, or PUT with debug, info, warning or error as body\n"
    "/debug/pprof/profile CPU profile; ?seconds=30\n"
    "/debug/pprof/heap    heap profile, with tcmalloc\n"
    "/debug/pprof/threads CPU time of each thread\n"
    "/debug/pprof/cmdline, /debug/pprof/symbol: for pprof\n"
    "\n"
    "OBJECT is Kind/namespace/name or namespace/name.\n";

// The limit of pages at a time that take memory or ask other threads.
constexpr HttpServer::Limit kPages{.at_most = 2};
constexpr std::size_t kConnections = 16;
constexpr std::chrono::minutes kAnswer{5};  // a large page through a slow port-forward
constexpr std::size_t kMostHosts = 1000;    // that /debug/dag shows unless it is told otherwise

HttpResponse Busy() { return {"the core is busy; try again\n", 503}; }

HttpResponse BusyWorkers() { return {"the xDS workers are busy; try again\n", 503}; }

// True if every worker is busy.
template <typename Answer>
bool AreBusy(const Answer& answer) {
  return answer.workers > 0 && answer.busy_workers == answer.workers;
}

HttpResponse Error(const absl::Status& status) {
  return {fmt::format("{}\n", Message(status)),
          status.code() == absl::StatusCode::kUnavailable ? 503 : 501};
}

// Returns how many virtual hosts /debug/dag is to show.
absl::StatusOr<std::size_t> LimitOf(const HttpRequest& request) {
  const std::optional<std::string> text = request.parameter("limit");
  if (!text) return kMostHosts;
  std::size_t limit = 0;
  const char* const end = text->data() + text->size();
  const auto [rest, error] = std::from_chars(text->data(), end, limit);
  if (error != std::errc() || rest != end || limit == 0)
    return InvalidArgument("limit: expected a number above 0, got \"{}\"", *text);
  return limit;
}

HttpResponse LogLevel(const HttpRequest& request) {
  if (!request.from_loopback) return {"only from the same host or pod\n", 403};
  const std::string_view word = Trim(request.body);
  const std::optional<log::Level> level = log::ParseLevel(word);
  if (!level) return {"debug, info, warning or error\n", 400};
  log::SetLevel(*level);
  log::Info("debug", "log level set", {{"now", word}});
  return {fmt::format("{}\n", word)};
}

}  // namespace

DebugServer::DebugServer(std::string address, std::uint16_t port, Views views)
    : views_(std::move(views)),
      server_({.name = "--debug-http-address, --debug-http-port",
               .address = std::move(address),
               .port = port,
               .connections = kConnections,
               .answer = kAnswer,
               .refuse_names = true}) {
  using enum HttpServer::Method;
  const auto text = [this](const std::string& path, std::function<std::string()> make) {
    server_.Handle(kGet, path,
                   [make = std::move(make)](const HttpRequest&) { return HttpResponse{make()}; });
  };
  text("/debug/?", [] { return std::string(kIndex); });
  text("/debug/pprof/?", [] { return std::string(kIndex); });
  text("/debug/pprof/cmdline", CommandLine);
  text("/debug/pprof/threads", Threads);
  text("/debug/log-level", [] { return std::string(log::LevelName(log::GetLevel())) + "\n"; });
  server_.Handle(kPut, "/debug/log-level", LogLevel);
  const auto page = [this](const std::string& path,
                           HttpResponse (DebugServer::*make)(const HttpRequest&) const) {
    server_.Handle(
        kGet, path, [this, make](const HttpRequest& request) { return (this->*make)(request); },
        kPages);
  };
  page("/debug/dag", &DebugServer::Dag);
  page("/debug/explain", &DebugServer::Explain);
  page("/debug/xds", &DebugServer::Xds);
  server_.Handle(kGet, "/debug/pprof/profile",
                 [this](const HttpRequest& request) { return CPUProfile(request); });
  server_.Handle(kGet, "/debug/pprof/heap", [this](const HttpRequest&) {
    absl::StatusOr<std::string> profile = profiles_.Heap();
    if (!profile.ok()) return Error(profile.status());
    return HttpResponse{*std::move(profile), 200, "application/octet-stream"};
  });
  // pprof asks by GET whether there are symbols, and for them by POST.
  text("/debug/pprof/symbol", [] { return Symbols(""); });
  server_.Handle(kPost, "/debug/pprof/symbol",
                 [](const HttpRequest& request) { return HttpResponse{Symbols(request.body)}; });
}

void DebugServer::Stop() {
  profiles_.Cancel();
  server_.Stop();
}

std::optional<std::vector<core::ObjectView>> DebugServer::FindObjects(
    const std::string& text) const {
  std::vector<core::ObjectView> found;
  for (const api::ObjectRef& ref : report::ParseObject(text)) {
    std::optional<core::ObjectView> view = views_.object(ref);
    if (!view) return std::nullopt;
    if (view->object.exists || !view->object.hosts.empty()) found.push_back(*std::move(view));
  }
  return found;
}

HttpResponse DebugServer::Dag(const HttpRequest& request) const {
  const std::string format = request.parameter("format").value_or("dot");
  if (format != "dot" && format != "json") return {"format: dot or json\n", 400};
  std::vector<graph::VirtualHostPtr> hosts;
  if (const auto name = request.parameter("host")) {
    const std::optional<core::HostView> host = views_.host(*name);
    if (!host) return Busy();
    hosts.push_back(host->graph.virtual_host);
  } else if (const auto object = request.parameter("object")) {
    const auto found = FindObjects(*object);
    if (!found) return Busy();
    for (const core::ObjectView& view : *found) {
      for (const core::HostView& host : view.hosts) hosts.push_back(host.graph.virtual_host);
    }
  } else {
    auto all = views_.virtual_hosts();
    if (!all) return Busy();
    hosts = *std::move(all);
  }
  std::erase(hosts, nullptr);
  const absl::StatusOr<std::size_t> limit = LimitOf(request);
  if (!limit.ok()) return {fmt::format("{}\n", Message(limit.status())), 400};
  const std::size_t further = hosts.size() - std::min(hosts.size(), *limit);
  hosts.resize(hosts.size() - further);
  const std::optional<envoy::Names> names = views_.names();
  if (!names) return Busy();
  if (format == "json") return {report::DagJson(hosts, *names, further), 200, kJson};
  return {report::DagGraphviz(hosts, *names, further), 200, "text/vnd.graphviz; charset=utf-8"};
}

HttpResponse DebugServer::Explain(const HttpRequest& request) const {
  if (const auto name = request.parameter("host")) {
    const std::optional<core::HostView> host = views_.host(*name);
    if (!host) return Busy();
    const xds::FleetFates fates = views_.fates(report::ResourcesOf(*host));
    if (AreBusy(fates)) return BusyWorkers();
    return {report::ExplainHost(*host, fates), 200, kJson};
  }
  const auto object = request.parameter("object");
  if (!object || report::ParseObject(*object).empty())
    return {"?object=Kind/namespace/name, ?object=namespace/name or ?host=name\n", 400};
  const auto found = FindObjects(*object);
  if (!found) return Busy();
  if (found->empty()) {
    return {fmt::format("{}: no such object is known, and no virtual host asked for one. It may "
                        "be of another class, of a kind that contour doesn't read, in a namespace "
                        "that isn't watched, or a Secret without certificate and key.\n",
                        *object),
            404};
  }
  const xds::FleetFates fates = views_.fates(report::ResourcesOf(*found));
  if (AreBusy(fates)) return BusyWorkers();
  return {report::ExplainObjects(*found, fates), 200, kJson};
}

HttpResponse DebugServer::Xds(const HttpRequest& request) const {
  const absl::StatusOr<xds::ViewFilter> filter = report::ParseXdsFilter(request.parameter);
  if (!filter.ok()) return {fmt::format("{}\n", Message(filter.status())), 400};
  const xds::SessionViews views = views_.envoys(*filter);
  if (AreBusy(views)) return BusyWorkers();
  return {report::XdsJson(views, views_.quarantined(), *filter), 200, kJson};
}

HttpResponse DebugServer::CPUProfile(const HttpRequest& request) {
  std::int64_t seconds = kProfileTime.count();
  if (const auto given = request.parameter("seconds")) {
    const char* const end = given->data() + given->size();
    const auto [rest, error] = std::from_chars(given->data(), end, seconds);
    if (error != std::errc() || rest != end || seconds < 1 || seconds > kMostProfileTime.count())
      return {fmt::format("seconds: a number from 1 to {}\n", kMostProfileTime.count()), 400};
  }
  absl::StatusOr<std::string> profile = profiles_.CPU(std::chrono::seconds(seconds));
  if (!profile.ok()) return Error(profile.status());
  return {*std::move(profile), 200, "application/octet-stream"};
}

}  // namespace contour::admin
