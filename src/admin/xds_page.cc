// SPDX-License-Identifier: Apache-2.0

#include "admin/xds_page.h"

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
    types[std::string(info.name)] = {{"resources", count.resources},
                                     {"acknowledged", count.acknowledged},
                                     {"rejected", count.rejected},
                                     {"held", count.held}};
  }
  return {{"node", envoy.node_id},          {"peer", envoy.peer},
          {"aggregated", envoy.aggregated}, {"streams", envoy.streams},
          {"types", std::move(types)},      {"resources", std::move(resources)}};
}

}  // namespace

std::string XdsJson(const std::vector<xds::SessionView>& envoys, const XdsFilter& filter) {
  Json list = Json::array();
  for (const xds::SessionView& envoy : envoys) {
    if (filter.node && *filter.node != envoy.node_id) continue;
    list.push_back(EnvoyJson(envoy, filter));
  }
  return Json({{"envoys", std::move(list)}}).dump(2, ' ', false, Json::error_handler_t::replace) +
         "\n";
}

}  // namespace contour::admin
