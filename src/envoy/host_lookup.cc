// SPDX-License-Identifier: Apache-2.0

#include "envoy/host_lookup.h"

#include <fmt/core.h>

#include <utility>
#include <vector>

#include "envoy/extensions/filters/http/lua/v3/lua.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/message.h"

namespace contour::envoy {
namespace {

namespace hcm = ::envoy::extensions::filters::network::http_connection_manager::v3;

// Returns a Lua filter that doesn't clear the route cache when a header changes; otherwise
// restoring the authority would drop the route that was found.
hcm::HttpFilter LuaFilter(std::string_view name, const std::string& program) {
  ::envoy::extensions::filters::http::lua::v3::Lua lua;
  lua.mutable_default_source_code()->set_inline_string(program);
  lua.mutable_clear_route_cache()->set_value(false);
  hcm::HttpFilter filter;
  filter.set_name(std::string(name));
  Pack(lua, filter.mutable_typed_config());
  return filter;
}

std::vector<hcm::HttpFilter> LookupFilters(const HostLookup& lookup) {
  std::vector<std::string> programs = {ExactProgram()};
  if (lookup.wildcards) programs.push_back(WildcardProgram());
  if (lookup.any_host) programs.push_back(AnyHostProgram());
  programs.push_back(RestoreProgram());
  std::vector<hcm::HttpFilter> filters;
  filters.reserve(programs.size());
  for (const std::string& program : programs) filters.push_back(LuaFilter(kLookupFilter, program));
  return filters;
}

}  // namespace

bool IsWildcardHost(std::string_view host) { return host.starts_with("*."); }

std::string WildcardRegex(std::string_view host) {
  std::string regex = "[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?";
  for (const char c : host.substr(1)) {
    if (std::string_view(R"(\.+*?()|[]{}^$)").find(c) != std::string_view::npos) regex += '\\';
    regex += c;
  }
  return regex;
}

// The port is the text after the last colon, unless that is within the brackets of an IPv6 address.
// Envoy finds it so where a route configuration ignores ports. A plain host, whose domains there
// are `host` and `host:*`, takes more colons as well; a wildcard doesn't.
std::string ExactProgram() {
  return fmt::format(R"(function envoy_on_request(handle)
  local headers = handle:headers()
  local authority = headers:get(":authority") or ""
  local host = authority:lower()
  local port = host:find(":[^:]*$")
  if port and not host:find("]", port, true) then host = host:sub(1, port - 1) end
  local data = handle:streamInfo():dynamicMetadata()
  data:set("{0}", "authority", authority)
  data:set("{0}", "host", host)
  local key = host:match("^[^*:][^:]*") or host
  if key ~= authority then
    headers:replace(":authority", key)
    handle:clearRouteCache()
  end
end
)",
                     kLookupFilter);
}

// The label is the one of WildcardRegex().
std::string WildcardProgram() {
  return fmt::format(R"(function envoy_on_request(handle)
  if handle:metadata():get("found") then return end
  local host = handle:streamInfo():dynamicMetadata():get("{0}")["host"]
  local label, rest = host:match("^([a-z0-9_][-a-z0-9_]*)(%..+)$")
  if label and label:sub(-1) ~= "-" then
    handle:headers():replace(":authority", "*" .. rest)
    handle:clearRouteCache()
  end
end
)",
                     kLookupFilter);
}

std::string AnyHostProgram() {
  return R"(function envoy_on_request(handle)
  if handle:metadata():get("found") then return end
  handle:headers():replace(":authority", "*")
  handle:clearRouteCache()
end
)";
}

// Asking for the metadata makes Envoy look for the route while `:authority` still has the key.
// Envoy itself refuses an upgrade only if it has a route from the start.
std::string RestoreProgram() {
  return fmt::format(R"(function envoy_on_request(handle)
  local found = handle:metadata():get("found")
  local headers = handle:headers()
  local data = handle:streamInfo():dynamicMetadata()
  headers:replace(":authority", data:get("{0}")["authority"])
  if not found then data:set("{0}", "unknown", true) end
  local upgrade = headers:get("upgrade")
  if found == "route" and upgrade and upgrade:lower() ~= "websocket" then
    handle:respond({{[":status"] = "403"}}, "")
  end
end
)",
                     kLookupFilter);
}

std::string UpgradeProgram() {
  return fmt::format(R"(function envoy_on_request(handle)
  if not handle:headers():get("upgrade") or handle:metadata():get("pass") then return end
  local lookup = handle:streamInfo():dynamicMetadata():get("{0}")
  if lookup and lookup["unknown"] then return end
  handle:respond({{[":status"] = "403"}}, "")
end
)",
                     kLookupFilter);
}

void AddHostLookup(const HostLookup& lookup, hcm::HttpConnectionManager* manager) {
  auto* by_host = manager->mutable_scoped_routes()
                      ->mutable_scope_key_builder()
                      ->add_fragments()
                      ->mutable_header_value_extractor();
  by_host->set_name(":authority");
  by_host->set_index(0);

  const std::vector<hcm::HttpFilter> others(manager->http_filters().begin(),
                                            manager->http_filters().end());
  const std::vector<hcm::HttpFilter> lookups = LookupFilters(lookup);
  auto* upgrade = manager->add_upgrade_configs();
  upgrade->set_upgrade_type("websocket");
  manager->clear_http_filters();
  for (const hcm::HttpFilter& filter : lookups) {
    *manager->add_http_filters() = filter;
    *upgrade->add_filters() = filter;
  }
  *upgrade->add_filters() = LuaFilter(kUpgradeFilter, UpgradeProgram());
  for (const hcm::HttpFilter& filter : others) {
    *manager->add_http_filters() = filter;
    *upgrade->add_filters() = filter;
  }
}

void AddFallThrough(const HostLookup& lookup, hcm::HttpConnectionManager* manager) {
  if (!lookup.wildcards || !lookup.any_host) return;
  std::vector<hcm::HttpFilter> filters = LookupFilters({.wildcards = false, .any_host = true});
  filters.push_back(LuaFilter(kUpgradeFilter, UpgradeProgram()));
  for (hcm::HttpFilter& filter : filters) filter.set_disabled(true);  // until a route asks for it
  filters.insert(filters.end(), manager->http_filters().begin(), manager->http_filters().end());
  manager->clear_http_filters();
  for (hcm::HttpFilter& filter : filters) *manager->add_http_filters() = std::move(filter);
}

}  // namespace contour::envoy
