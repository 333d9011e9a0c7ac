// SPDX-License-Identifier: Apache-2.0

#include "admin/xds_page.h"

#include <chrono>
#include <cstddef>
#include <nlohmann/json.hpp>

namespace contour::admin {
namespace {

using Json = nlohmann::ordered_json;

struct Count {
  std::size_t resources = 0;
  std::size_t acknowledged = 0;
  std::size_t rejected = 0;
  std::size_t held = 0;
};

bool IsSettled(const xds::LedgerEntry& entry) {
  return entry.sent && entry.acknowledged == entry.sent && !entry.rejected &&
         entry.held_parts.empty() && !entry.retained && !entry.cold;
}

Json EntryJson(const xds::LedgerEntry& entry) {
  Json made = {{"type", xds::Info(entry.type).name}, {"name", entry.name}};
  if (entry.sent) made["sent"] = *entry.sent;
  if (entry.acknowledged) made["acknowledged"] = *entry.acknowledged;
  if (entry.rejected) made["rejected"] = *entry.rejected;
  if (!entry.words.empty()) made["words"] = entry.words;
  if (!entry.held_parts.empty()) made["held"] = entry.held_parts;
  if (entry.retained) made["retained"] = true;
  if (entry.cold) made["warming"] = true;
  return made;
}

// What the counts don't say: what is under way, refused, waiting.
void AddState(const xds::TypeView& view, Json& made) {
  if (view.unacknowledged > 0) made["unacknowledgedResponses"] = view.unacknowledged;
  if (view.lag) made["lagMs"] = view.lag->count();
  if (!view.sent_version.empty()) made["sentVersion"] = view.sent_version;
  if (!view.acknowledged_version.empty()) made["acknowledgedVersion"] = view.acknowledged_version;
  if (view.searching) made["searching"] = true;
  if (!view.words.empty()) made["lastRefusal"] = view.words;
  if (view.refused_ago) made["refusedMsAgo"] = view.refused_ago->count();
  for (const xds::RefusedView& refused : view.refused) {
    Json one = {{"resource", refused.item.resource}};
    if (refused.item.part) one["part"] = *refused.item.part;
    one["version"] = refused.version;
    one["words"] = refused.words;
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

Json EnvoyJson(const xds::SessionView& envoy, const XdsFilter& filter) {
  Json types = Json::object();
  Json resources = Json::array();
  for (const xds::TypeInfo& info : xds::kTypes) {
    if (filter.type && *filter.type != info.name) continue;
    Count count;
    for (const xds::LedgerEntry& entry : envoy.entries) {
      if (entry.type != info.type) continue;
      ++count.resources;
      if (entry.sent && entry.acknowledged == entry.sent) ++count.acknowledged;
      if (entry.rejected) ++count.rejected;
      if (!entry.held_parts.empty()) ++count.held;
      const bool wanted =
          filter.resource ? entry.name == *filter.resource : filter.all || !IsSettled(entry);
      if (wanted) resources.push_back(EntryJson(entry));
    }
    Json& made = types[std::string(info.name)];
    made = {{"resources", count.resources},
            {"acknowledged", count.acknowledged},
            {"rejected", count.rejected},
            {"held", count.held}};
    AddState(envoy.types[xds::Index(info.type)], made);
  }
  return {{"node", envoy.node_id},
          {"peer", envoy.peer},
          {"aggregated", envoy.aggregated},
          {"distrusted", envoy.distrusted},
          {"streams", envoy.streams},
          {"types", std::move(types)},
          {"resources", std::move(resources)}};
}

}  // namespace

std::string XdsJson(const std::vector<xds::SessionView>& envoys,
                    const std::vector<xds::QuarantineView>& quarantined, const XdsFilter& filter) {
  Json list = Json::array();
  for (const xds::SessionView& envoy : envoys) {
    if (filter.node && *filter.node != envoy.node_id) continue;
    list.push_back(EnvoyJson(envoy, filter));
  }
  Json kept = Json::array();
  for (const xds::QuarantineView& view : quarantined) {
    const xds::Item& item = view.item;
    if (filter.type && *filter.type != xds::Info(item.type).name) continue;
    if (filter.resource && *filter.resource != item.resource) continue;
    Json one = {{"type", xds::Info(item.type).name},
                {"resource", item.resource},
                {"version", view.version},
                {"words", view.words},
                {"node", view.node_id},
                {"peer", view.peer},
                {"nodes", view.nodes},
                {"keptFromAll", view.reach == xds::Reach::kFleet},
                {"replacedByLastGood", view.replaced},
                {"sinceMs", view.ago.count()}};
    if (item.part) one["part"] = *item.part;
    kept.push_back(std::move(one));
  }
  return Json({{"envoys", std::move(list)}, {"quarantined", std::move(kept)}})
             .dump(2, ' ', false, Json::error_handler_t::replace) +
         "\n";
}

}  // namespace contour::admin
