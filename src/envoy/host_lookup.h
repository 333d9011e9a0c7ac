// SPDX-License-Identifier: Apache-2.0
// Defines which names a wildcard host takes, and makes a listener of the sharded delivery modes
// find the scoped route configuration of a request's host.
//
// A wildcard host (`*.example.com`) takes names of exactly one label more, as the Ingress API says;
// so at most one wildcard takes a name. A name is served by the host that is written like it, else
// by the wildcard that takes it, else by the host "*", else by none. On HTTPS there is no host "*".
//
// Envoy compares the whole `:authority` with the key of each ScopedRouteConfiguration, byte by
// byte. That finds a host that was written as it is configured. Other requests (capitals, a port,
// wildcards, the default host) are looked up again by Lua filters: each writes another key into
// `:authority` and makes Envoy look again. The last puts the authority back, so that the upstream
// sees the one that the client sent. Each look-up has a filter of its own, since a Lua filter sees
// only the route of its first look-up.
//
// The filters cost nothing where the first look-up finds the host: every virtual host switches them
// off for itself (kLookupFilter in its typed_per_filter_config), and Envoy then doesn't create
// them. They need Envoy 1.28 or later.
//
// The authority that the client sent is in the dynamic metadata kLookupFilter. It isn't in a
// header, since a client could forge one.
//
// In classic delivery Envoy finds the virtual host itself, but its wildcards take any number of
// labels. The first route of a wildcard host (see route.h) takes the names that the host doesn't
// take, and switches the filters on for itself: they look again for the host "*". No other request
// runs through them.
//
// Envoy accepts or refuses an upgrade before any filter runs, hence before a second look-up. So in
// the sharded modes such requests have a chain of filters of their own, which accepts all, and
// later refuses those whose route isn't marked (kUpgradeFilter).
//
// Pure, any thread, no errors.

#pragma once

#include <string>
#include <string_view>

namespace envoy::extensions::filters::network::http_connection_manager::v3 {
class HttpConnectionManager;
}  // namespace envoy::extensions::filters::network::http_connection_manager::v3

namespace contour::envoy {

// The name that all look-up filters share. It is also the namespace of their metadata. Routes have
// {found: "route"}, except the last one, which answers 404 and has {found: "nothing"}. Requests
// have {authority: as sent, host: in lower case and without port, unknown: true if no host is
// found}.
inline constexpr std::string_view kLookupFilter = "contour.host";
// The namespace of the metadata {pass: true} of routes that don't refuse a websocket, because they
// take it or answer 404.
inline constexpr std::string_view kUpgradeFilter = "contour.upgrade";

// The look-ups after that of the plain host. Only those that can find something are true.
struct HostLookup {
  bool wildcards = false;  // a wildcard host
  bool any_host = false;   // the host "*"

  bool operator==(const HostLookup&) const = default;
};

bool IsWildcardHost(std::string_view host);  // begins with "*."

// Returns a regex of the names, in lower case, that a wildcard host takes: one label of letters,
// digits, - and _ that neither begins nor ends with -, then the part of `host` after the "*".
std::string WildcardRegex(std::string_view host);

// These return the Lua programs, in the order in which they run.
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

// Makes the manager of classic delivery look for the host "*" where a wildcard host doesn't take
// the name. Does nothing unless `lookup` has both. REQUIRES: its other filters are complete.
void AddFallThrough(
    const HostLookup& lookup,
    ::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager*
        manager);

}  // namespace contour::envoy
