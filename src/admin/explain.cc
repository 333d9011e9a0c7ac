// SPDX-License-Identifier: Apache-2.0

#include "admin/explain.h"

#include <absl/time/time.h>
#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

namespace contour::admin {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostEnvoys = 20;  // that are named one by one beside a resource

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

Json StatusJson(const graph::Status& status) {
  return {{"currentStatus", status.current_status}, {"description", status.description}};
}

// What became of one resource on each Envoy: how many have it as it is, and who has not.
class Fates {
 public:
  explicit Fates(const std::vector<xds::SessionView>& envoys) : envoys_(envoys) {
    for (const xds::SessionView& envoy : envoys) {
      auto& entries = entries_.emplace_back();
      for (const xds::LedgerEntry& entry : envoy.entries)
        entries.emplace(std::pair(entry.type, std::string_view(entry.name)), &entry);
    }
  }

  Json Of(const core::ResourceView& resource) const {
    std::map<std::string, std::size_t> counts;
    Json others = Json::array();
    for (std::size_t i = 0; i < envoys_.size(); ++i) {
      const auto found =
          entries_[i].find(std::pair(resource.type, std::string_view(resource.name)));
      Json fate = {{"node", envoys_[i].node_id}, {"peer", envoys_[i].peer}};
      const std::string word =
          found == entries_[i].end() ? "not subscribed" : Judge(*found->second, resource, fate);
      ++counts[word];
      if (word == "acknowledged" || word == "not subscribed") continue;
      fate["state"] = word;
      if (others.size() < kMostEnvoys) others.push_back(std::move(fate));
    }
    Json made = Json::object();
    for (const auto& [word, count] : counts) made[word] = count;
    if (!others.empty()) made["those that have not acknowledged it"] = std::move(others);
    return made;
  }

 private:
  static std::string Judge(const xds::LedgerEntry& entry, const core::ResourceView& resource,
                           Json& fate) {
    const auto& held = entry.held_parts;
    if (std::find(held.begin(), held.end(), resource.part) != held.end() ||
        std::find(held.begin(), held.end(), "") != held.end()) {
      return "held until its clusters are warm";
    }
    if (entry.rejected && entry.rejected == entry.sent) {
      fate["words"] = entry.words;
      return "rejected";
    }
    if (entry.cold) return "warming";
    if (!entry.sent) return "not sent";
    return entry.acknowledged == entry.sent ? "acknowledged" : "sent";
  }

  const std::vector<xds::SessionView>& envoys_;
  std::vector<std::map<std::pair<xds::ResourceType, std::string_view>, const xds::LedgerEntry*>>
      entries_;
};

Json HostJson(const core::HostView& view, const Fates& fates) {
  const graph::HostView& host = view.graph;
  Json made = {{"host", host.host}};
  if (host.virtual_host == nullptr) {
    made["served"] = "nothing";
  } else {
    Json served = Json::object();
    const graph::VirtualHost& virtual_host = *host.virtual_host;
    if (!virtual_host.http_routes.empty()) served["httpRoutes"] = virtual_host.http_routes.size();
    if (virtual_host.secure) {
      if (virtual_host.secure->tcp_proxy) {
        served["tcpProxy"] = virtual_host.secure->secret == nullptr ? "passthrough" : "terminated";
      } else {
        served["httpsRoutes"] = virtual_host.secure->routes.size();
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
    one.update(StatusJson(status));
    statuses.push_back(std::move(one));
  }
  made["statuses"] = std::move(statuses);
  Json resources = Json::array();
  for (const core::ResourceView& resource : view.resources) {
    Json one = {{"type", xds::Info(resource.type).name}, {"name", resource.name}};
    if (!resource.part.empty()) one["part"] = resource.part;
    one["version"] = resource.version;
    one["envoys"] = fates.Of(resource);
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

std::string ExplainObjects(const std::vector<core::ObjectView>& objects,
                           const std::vector<xds::SessionView>& envoys) {
  const Fates fates(envoys);
  Json list = Json::array();
  for (const core::ObjectView& view : objects) {
    const graph::ObjectView& object = view.object;
    Json made = {{"object", ObjectText(object.ref)}, {"exists", object.exists}};
    if (!object.resource_version.empty()) made["resourceVersion"] = object.resource_version;
    if (object.generation != 0) made["generation"] = object.generation;
    if (object.creation_time != 0)
      made["created"] = absl::FormatTime(
          "%Y-%m-%dT%H:%M:%SZ", absl::FromUnixSeconds(object.creation_time), absl::UTCTimeZone());
    if (object.status) made["status"] = StatusJson(*object.status);
    Json hosts = Json::array();
    for (const core::HostView& host : view.hosts) hosts.push_back(HostJson(host, fates));
    made["hosts"] = std::move(hosts);
    if (object.hosts.size() > view.hosts.size()) {
      Json more = Json::array();
      for (std::size_t i = view.hosts.size(); i < object.hosts.size(); ++i)
        more.push_back(object.hosts[i]);
      made["further hosts"] = std::move(more);
    }
    list.push_back(std::move(made));
  }
  return Text({{"envoys", envoys.size()}, {"objects", std::move(list)}});
}

std::string ExplainHost(const core::HostView& host, const std::vector<xds::SessionView>& envoys) {
  return Text({{"envoys", envoys.size()}, {"host", HostJson(host, Fates(envoys))}});
}

}  // namespace contour::admin
