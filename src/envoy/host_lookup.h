// SPDX-License-Identifier: Apache-2.0
// Which names a wildcard host takes, and how a listener of the sharded shape finds the resource of
// a request's host.
//
// A wildcard host (`*.example.com`) takes names of exactly one label more, as Ingress has it; so at
// most one wildcard takes a name. A name is served by the host that is written like it, else by the
// wildcard that takes it, else by the host "*", else by none. On HTTPS there is no host "*".
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
// In the classic shape Envoy finds the virtual host itself, but its wildcards take any number of
// labels. The first route of a wildcard host (see route.h) takes the names that the host doesn't
// take, and switches the filters on for itself: they look again for the host "*". No other request
// runs through them.
//
// An upgrade is accepted or refused by Envoy before any filter runs, hence before a second look-up;
// so in the sharded shape such requests have a chain of filters of their own, which accepts all and
// refuses later by the route's mark (kUpgradeFilter).
//
// Pure, any thread, no errors.

#pragma once

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
  bool wildcards = false;  // a wildcard host
  bool any_host = false;   // the host "*"

  bool operator==(const HostLookup&) const = default;
};

bool IsWildcardHost(std::string_view host);  // begins with "*."

// The regex of the names, in lower case, that a wildcard host takes: one label of letters, digits,
// - and _ that neither begins nor ends with -, then what follows the "*" of `host`.
std::string WildcardRegex(std::string_view host);

// The Lua programs, in the order in which they run.
std::string ExactProgram();
std::string WildcardProgram();
std::string AnyHostProgram();
std::string RestoreProgram();
std::string UpgradeProgram();

// Makes the manager look hosts up, by the keys of plain HTTP, before the filters that it has, and
// once more in the chain of upgrades. REQUIRES: its other filters are complete.
void AddHostLookup(
    const HostLookup& lookup,
    ::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager*
        manager);

// Makes the manager of the classic shape look for the host "*" where a wildcard host doesn't take
// the name. Nothing where `lookup` lacks one of the two. REQUIRES: its other filters are complete.
void AddFallThrough(
    const HostLookup& lookup,
    ::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager*
        manager);

}  // namespace contour::envoy
