// SPDX-License-Identifier: Apache-2.0

#include "report/xds_page.h"

#include <charconv>
#include <chrono>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/status.h"

namespace contour::report {
namespace {

using Json = nlohmann::ordered_json;

// The largest numbers that can be asked for.
constexpr std::size_t kMostEnvoys = 1000;
constexpr std::size_t kMostEntries = 10'000;

Json EntryJson(const xds::LedgerEntry& entry) {
  Json made = {{"type", xds::Info(entry.type).name}, {"name", entry.name}};
  if (entry.sent) made["sent"] = *entry.sent;
  if (entry.acknowledged) made["acknowledged"] = *entry.acknowledged;
  if (entry.rejected) made["rejected"] = *entry.rejected;
  if (!entry.error_message.empty()) made["words"] = entry.error_message;
  if (!entry.held_parts.empty()) made["held"] = entry.held_parts;
  if (entry.retained) made["retained"] = true;
  if (entry.warming) made["warming"] = true;
  return made;
}

// Adds the state that the counts don't have: responses under way, NACKs, holds.
void AddState(const xds::TypeView& view, Json& made) {
  if (view.unacknowledged > 0) made["unacknowledgedResponses"] = view.unacknowledged;
  if (view.lag) made["lagMs"] = view.lag->count();
  if (!view.sent_version.empty()) made["sentVersion"] = view.sent_version;
  if (!view.acknowledged_version.empty()) made["acknowledgedVersion"] = view.acknowledged_version;
  if (view.searching) made["searching"] = true;
  if (!view.error_message.empty()) made["lastRefusal"] = view.error_message;
  if (view.rejected_ago) made["refusedMsAgo"] = view.rejected_ago->count();
  for (const xds::RejectedView& refused : view.rejected) {
    Json one = {{"resource", refused.key.resource}};
    if (refused.key.part) one["part"] = *refused.key.part;
    one["version"] = refused.version;
    one["words"] = refused.error_message;
    one["culprit"] = refused.culprit;
    if (refused.node_fault) one["nodeFault"] = true;
    made["refused"].push_back(std::move(one));
  }
  for (const xds::HeldView& held : view.held) {
    Json one = {{"resource", held.resource}};
    if (!held.part.empty()) one["part"] = held.part;
    one["waitingFor"] = held.waiting_for;
    one["sinceMs"] = held.since.count();
    made["waiting"].push_back(std::move(one));
  }
}

Json EnvoyJson(const xds::SessionView& envoy, const xds::ViewFilter& filter) {
  Json types = Json::object();
  for (const xds::TypeView& type : envoy.types) {
    if (filter.type && *filter.type != type.type) continue;
    Json& made = types[std::string(xds::Info(type.type).name)];
    made = {{"resources", type.sent},
            {"acknowledged", type.acknowledged},
            {"rejected", type.rejected_resources},
            {"held", type.held_resources}};
    AddState(type, made);
  }
  Json resources = Json::array();
  for (const xds::LedgerEntry& entry : envoy.entries) resources.push_back(EntryJson(entry));
  Json made = {{"node", envoy.node_id},
               {"peer", envoy.peer},
               {"aggregated", envoy.aggregated},
               {"distrusted", envoy.reports_ignored},
               {"streams", envoy.streams},
               {"types", std::move(types)},
               {"resources", std::move(resources)}};
  if (envoy.more) made["more"] = true;
  return made;
}

// Parses a number from 1 to `most`.
absl::StatusOr<std::size_t> Number(const std::string& name, const std::string& text,
                                   std::size_t most) {
  std::size_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || rest != end || number < 1 || number > most)
    return InvalidArgument("{}: expected a number from 1 to {}, got \"{}\"", name, most, text);
  return number;
}

}  // namespace

absl::StatusOr<xds::ViewFilter> ParseXdsFilter(
    const std::function<std::optional<std::string>(const std::string& name)>& parameter) {
  xds::ViewFilter filter{.node = parameter("node"),
                         .resource = parameter("resource"),
                         .all = parameter("all").value_or("0") == "1",
                         .after_resource = parameter("after-resource").value_or("")};
  if (const auto name = parameter("type")) {
    for (const xds::TypeInfo& info : xds::kTypes) {
      if (info.name == *name) filter.type = info.type;
    }
    if (!filter.type)
      return InvalidArgument("type: expected CDS, EDS, LDS, RDS, SDS or SRDS, got \"{}\"", *name);
  }
  // A node id may have any character, but an address has no blank.
  if (const auto after = parameter("after")) {
    const std::size_t blank = after->rfind(' ');
    filter.after_envoy = {after->substr(0, blank),
                          blank == std::string::npos ? "" : after->substr(blank + 1)};
  }
  if (const auto text = parameter("envoys")) {
    CONTOUR_ASSIGN_OR_RETURN(filter.most_envoys, Number("envoys", *text, kMostEnvoys));
  }
  if (const auto text = parameter("limit")) {
    CONTOUR_ASSIGN_OR_RETURN(filter.most_entries, Number("limit", *text, kMostEntries));
  }
  return filter;
}

std::string XdsJson(const xds::SessionViews& views,
                    const std::vector<xds::QuarantineView>& quarantined,
                    const xds::ViewFilter& filter) {
  Json list = Json::array();
  for (const xds::SessionView& envoy : views.envoys) list.push_back(EnvoyJson(envoy, filter));
  Json kept = Json::array();
  for (const xds::QuarantineView& view : quarantined) {
    const xds::ResourceKey& item = view.key;
    if (filter.type && *filter.type != item.type) continue;
    if (filter.resource && *filter.resource != item.resource) continue;
    Json one = {{"type", xds::Info(item.type).name},
                {"resource", item.resource},
                {"version", view.version},
                {"words", view.error_message},
                {"node", view.node_id},
                {"peer", view.peer},
                {"nodes", view.nodes},
                {"keptFromAll", view.reach == xds::Reach::kFleet},
                {"replacedByLastGood", view.replaced},
                {"sinceMs", view.ago.count()}};
    if (item.part) one["part"] = *item.part;
    kept.push_back(std::move(one));
  }
  Json page = {{"envoys", std::move(list)}, {"quarantined", std::move(kept)}};
  if (views.more_envoys && !views.envoys.empty()) {
    const xds::SessionView& last = views.envoys.back();
    page["moreEnvoys"] = "?after=" + last.node_id + " " + last.peer;
  }
  if (views.busy_workers > 0) page["busyWorkers"] = views.busy_workers;
  return page.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace contour::report
