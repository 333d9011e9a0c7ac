// SPDX-License-Identifier: Apache-2.0

#include "report/explain.h"

#include <absl/time/time.h>
#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "graph/kinds/kinds.h"
#include "graph/model/host.h"
#include "graph/model/status.h"

namespace contour::report {
namespace {

using Json = nlohmann::ordered_json;

std::optional<api::Kind> FindKind(std::string_view name) {
  for (int i = 0; i < api::kKindCount; ++i) {
    const auto kind = static_cast<api::Kind>(i);
    if (api::KindName(kind) == name) return kind;
  }
  return std::nullopt;
}

std::string ObjectText(const api::ObjectRef& ref) {
  return ref.ns.empty() ? fmt::format("{}/{}", api::KindName(ref.kind), ref.name)
                        : fmt::format("{}/{}/{}", api::KindName(ref.kind), ref.ns, ref.name);
}

Json Objects(const std::vector<api::ObjectRef>& refs) {
  Json list = Json::array();
  for (const api::ObjectRef& ref : refs) list.push_back(ObjectText(ref));
  return list;
}

Json StatusJson(api::Kind kind, const graph::Status& status) {
  return graph::Kinds().RowOf(kind).status_fields(status);
}

std::string_view FateText(xds::Fate fate) {
  switch (fate) {
    case xds::Fate::kAcknowledged:
      return "acknowledged";
    case xds::Fate::kSent:
      return "sent";
    case xds::Fate::kHeld:
      return "held until its clusters are warm";
    case xds::Fate::kRejected:
      return "rejected";
    case xds::Fate::kWarming:
      return "warming";
    case xds::Fate::kNotSent:
      return "not sent";
    case xds::Fate::kNotSubscribed:
      return "not subscribed";
  }
  return "";
}

// Returns the states of one resource with their numbers of Envoys, and the Envoys that haven't
// acked it.
Json FatesJson(const xds::ResourceFates& fates) {
  std::map<std::string_view, std::size_t> counts;
  for (std::size_t fate = 0; fate < xds::kFates; ++fate) {
    if (fates.counts[fate] > 0) counts[FateText(static_cast<xds::Fate>(fate))] = fates.counts[fate];
  }
  Json made = Json::object();
  for (const auto& [text, count] : counts) made[std::string(text)] = count;
  Json others = Json::array();
  for (const xds::ResourceFates::Other& other : fates.others) {
    Json one = {{"node", other.node_id}, {"peer", other.peer}};
    if (!other.error_message.empty()) one["words"] = other.error_message;
    one["state"] = FateText(other.fate);
    others.push_back(std::move(one));
  }
  if (!others.empty()) made["those that have not acknowledged it"] = std::move(others);
  return made;
}

// Returns the answers in the order of the questions.
class NextFates {
 public:
  explicit NextFates(const xds::FleetFates& fates) : fates_(fates) {}
  Json Take() { return FatesJson(fates_.resources.at(next_++)); }

 private:
  const xds::FleetFates& fates_;
  std::size_t next_ = 0;
};

Json Page(const xds::FleetFates& fates) {
  Json page = {{"envoys", fates.envoys}};
  if (fates.busy_workers > 0) page["busyWorkers"] = fates.busy_workers;
  return page;
}

Json HostJson(const core::HostView& view, NextFates& fates) {
  const graph::HostView& host = view.graph;
  Json made = {{"host", host.host}};
  if (host.virtual_host == nullptr) {
    made["served"] = "nothing";
  } else {
    Json served = Json::object();
    const graph::VirtualHost& virtual_host = *host.virtual_host;
    for (const graph::ListenerHost& one : virtual_host.listeners) {
      const bool https = one.listener.protocol == graph::ListenerKey::Protocol::kHTTPS;
      if (one.tcp_proxy) {
        served["tcpProxy"] = one.secret == nullptr ? "passthrough" : "terminated";
      } else {
        served[https ? "httpsRoutes" : "httpRoutes"] = one.routes.size();
      }
    }
    made["served"] = std::move(served);
  }
  made["roots"] = Objects(host.roots);
  made["read"] = Objects(host.read);
  made["missing"] = Objects(host.missing);
  Json problems = Json::array();
  for (const graph::Problem& problem : host.problems)
    problems.push_back({{"object", ObjectText(problem.object)}, {"problem", problem.text}});
  made["problems"] = std::move(problems);
  Json statuses = Json::array();
  for (const auto& [ref, status] : host.statuses) {
    Json one = {{"object", ObjectText(ref)}};
    one.update(StatusJson(ref.kind, status));
    statuses.push_back(std::move(one));
  }
  made["statuses"] = std::move(statuses);
  Json resources = Json::array();
  for (const core::ResourceView& resource : view.resources) {
    Json one = {{"type", xds::Info(resource.type).name}, {"name", resource.name}};
    if (!resource.part.empty()) one["part"] = resource.part;
    one["version"] = resource.version;
    one["envoys"] = fates.Take();
    resources.push_back(std::move(one));
  }
  made["resources"] = std::move(resources);
  return made;
}

std::string Text(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

std::vector<api::ObjectRef> ParseObject(std::string_view text) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == '/') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  if (std::any_of(parts.begin(), parts.end(), [](const auto& part) { return part.empty(); }))
    return {};
  std::vector<api::ObjectRef> refs;
  if (parts.size() == 3) {
    const std::optional<api::Kind> kind = FindKind(parts[0]);
    if (kind && api::IsNamespaced(*kind)) refs.push_back({*kind, parts[1], parts[2]});
  } else if (parts.size() == 2) {
    if (const auto kind = FindKind(parts[0]); kind && !api::IsNamespaced(*kind))
      return {{*kind, "", parts[1]}};
    for (int i = 0; i < api::kKindCount; ++i) {
      const auto kind = static_cast<api::Kind>(i);
      if (api::IsNamespaced(kind)) refs.push_back({kind, parts[0], parts[1]});
    }
  }
  return refs;
}

std::vector<xds::ResourceQuestion> ResourcesOf(const core::HostView& host) {
  std::vector<xds::ResourceQuestion> resources;
  for (const core::ResourceView& each : host.resources)
    resources.push_back({each.type, each.name, each.part});
  return resources;
}

std::vector<xds::ResourceQuestion> ResourcesOf(const std::vector<core::ObjectView>& objects) {
  std::vector<xds::ResourceQuestion> resources;
  for (const core::ObjectView& object : objects) {
    for (const core::HostView& host : object.hosts) {
      for (xds::ResourceQuestion& each : ResourcesOf(host)) resources.push_back(std::move(each));
    }
  }
  return resources;
}

std::string ExplainObjects(const std::vector<core::ObjectView>& objects,
                           const xds::FleetFates& fates) {
  NextFates next(fates);
  Json list = Json::array();
  for (const core::ObjectView& view : objects) {
    const graph::ObjectView& object = view.object;
    Json made = {{"object", ObjectText(object.ref)}, {"exists", object.exists}};
    if (!object.resource_version.empty()) made["resourceVersion"] = object.resource_version;
    if (object.generation != 0) made["generation"] = object.generation;
    if (object.creation_time != 0)
      made["created"] = absl::FormatTime(
          "%Y-%m-%dT%H:%M:%SZ", absl::FromUnixSeconds(object.creation_time), absl::UTCTimeZone());
    if (object.status) made["status"] = StatusJson(object.ref.kind, *object.status);
    Json hosts = Json::array();
    for (const core::HostView& host : view.hosts) hosts.push_back(HostJson(host, next));
    made["hosts"] = std::move(hosts);
    if (object.hosts.size() > view.hosts.size()) {
      Json more = Json::array();
      for (std::size_t i = view.hosts.size(); i < object.hosts.size(); ++i)
        more.push_back(object.hosts[i]);
      made["further hosts"] = std::move(more);
    }
    list.push_back(std::move(made));
  }
  Json page = Page(fates);
  page["objects"] = std::move(list);
  return Text(page);
}

std::string ExplainHost(const core::HostView& host, const xds::FleetFates& fates) {
  NextFates next(fates);
  Json page = Page(fates);
  page["host"] = HostJson(host, next);
  return Text(page);
}

}  // namespace contour::report
