// SPDX-License-Identifier: Apache-2.0
// How a listener of the sharded shape finds the resource of a request's host.
//
// Envoy compares the whole `:authority` with the key of each ScopedRouteConfiguration, byte by
// byte. That finds a host that was written as it is configured. What remains (capitals, a port,
// wildcards, the default host) is looked up again by Lua filters: each writes another key into
// `:authority` and makes Envoy look again; the last puts the authority back, so that the upstream
// sees what the client sent. One filter per look-up, because a Lua filter sees the route of its
// first look only.
//
// They cost nothing where the first look-up hits: every virtual host switches them off for itself
// (kLookupFilter in its typed_per_filter_config), and Envoy then doesn't create them. Needs Envoy
// 1.28 or later.
//
// The authority that the client sent is in the dynamic metadata kLookupFilter, not in a header,
// which a client could forge.
//
// An upgrade is accepted or refused by Envoy before any filter runs, hence before a second look-up;
// so such requests have a chain of filters of their own, which accepts all and refuses later by the
// route's mark (kUpgradeFilter).
//
// Pure, any thread, no errors.

#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <string_view>

namespace envoy::extensions::filters::network::http_connection_manager::v3 {
class HttpConnectionManager;
}  // namespace envoy::extensions::filters::network::http_connection_manager::v3

namespace contour::envoy {

// The name that all look-up filters share, and with it the namespace of their metadata: of routes
// {found: "route"}, or {found: "nothing"} of the last one, which answers 404; of requests
// {authority: as sent, host: in lower case and without port, unknown: true if no host is found}.
inline constexpr std::string_view kLookupFilter = "contour.host";
// Of routes that don't refuse a websocket, because they take it or answer 404: {pass: true}.
inline constexpr std::string_view kUpgradeFilter = "contour.upgrade";

// The look-ups beyond that of the plain host: only those that can find something.
struct HostLookup {
  // For each wildcard host how many labels follow the "*.": 2 for `*.example.com`.
  std::set<std::size_t> wildcard_labels;
  bool any_host = false;  // the host "*"

  bool operator==(const HostLookup&) const = default;
};

// Labels after the "*." of a wildcard host; 0 for any other host.
std::size_t WildcardLabels(std::string_view host);

// The Lua programs, in the order in which they run.
std::string ExactProgram();
std::string WildcardProgram(std::size_t labels);
std::string AnyHostProgram();
std::string RestoreProgram();
std::string UpgradeProgram();

// Makes the manager look hosts up, by the keys of plain HTTP, before the filters that it has, and
// once more in the chain of upgrades. REQUIRES: its other filters are complete.
void AddHostLookup(
    const HostLookup& lookup,
    ::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager*
        manager);

}  // namespace contour::envoy
