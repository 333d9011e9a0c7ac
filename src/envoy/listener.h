// SPDX-License-Identifier: Apache-2.0
// Makes the listeners (envoy.config.listener.v3.Listener) and their filter chains.
//
//   ingress_http   present if a host has HTTP routes; one filter chain, with routes by RDS or, in the
//                  sharded delivery modes, by scoped routes
//   ingress_https  present if a host is served by TLS; a filter chain per host, picked by SNI; in
//                  the mode kShardedHTTPS one chain for all hosts that ShareFilterChain()
//   certificates   in the mode kShardedHTTPS; they bind no port and make Envoy fetch the
//                  certificates of the shared chain before a client asks for them
//   stats-health   always present; Envoy's metrics (/stats) and health (/healthz)
//
// The caller decides which are present. ingress_https is a head (HTTPSListenerHead) and parts: the
// filter chain of each host (TranslateFilterChain).
//
// The shared chain takes the certificate from the secret that is named by the server name (see
// OnDemandSecretName). Envoy subscribes to it at the first handshake. A name that nobody serves
// must be answered at once, or the handshake waits kHandshakeTimeout. Sessions can't be resumed on
// this chain: Envoy takes the certificate selector only without. This was tested with Envoy 1.40;
// older releases may lack the selector.
//
// Pure, any thread, no errors.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "envoy/access_log.h"
#include "envoy/config_source.h"
#include "envoy/delivery.h"
#include "envoy/host_lookup.h"
#include "envoy/names.h"
#include "envoy/resource.h"
#include "graph/model/host.h"
#include "graph/model/listener.h"

namespace contour::envoy {

// The part of the process's configuration that listeners need. Addresses are IP literals; `::`
// takes IPv4 too.
struct ListenerOptions {
  std::string http_address = "0.0.0.0";
  std::uint16_t http_port = 8080;
  std::string http_access_log = "/dev/stdout";  // a path in Envoy's container

  std::string https_address = "0.0.0.0";
  std::uint16_t https_port = 8443;
  std::string https_access_log = "/dev/stdout";

  AccessLogOptions access_log;  // for both ingress listeners

  std::string stats_address = "0.0.0.0";
  std::uint16_t stats_port = 8002;

  bool use_proxy_protocol = false;  // a PROXY preamble on both ingress listeners
  // The limit of requests at a time on one HTTP/2 connection of a client.
  std::uint32_t max_concurrent_streams = 100;
  // The minimum for all hosts. A host may have a higher one of its own.
  graph::TLSVersion minimum_tls_version = graph::TLSVersion::k1_2;
  ConfigSource config_source = ConfigSource::kAds;
  Delivery delivery = Delivery::kClassic;
};

// Returns ingress_http. `lookup` says which hosts there are beside plain ones; see host_lookup.h.
Resource HTTPListener(const ListenerOptions& options, const HostLookup& lookup = {});

// Returns ingress_https without its filter chains; these follow in the order of their names.
Resource HTTPSListenerHead(const ListenerOptions& options);

// True if there is a filter chain for the host: it is served by TLS, has a certificate or a TCP
// proxy, and a client can ask for it by SNI (not "*").
bool HasFilterChain(const graph::VirtualHost& host);

// Returns the filter chain of one host in ingress_https: TLS with the host's certificate and HTTP
// by RDS, or a TCP proxy, with TLS or (passthrough) without. Its `name` is the host. Its `clusters`
// are those of the TCP proxy; without one they are empty, since the virtual host has them. nullopt:
// HasFilterChain is false. `lookup` says which hosts there are beside plain ones, which matters
// where HTTPS is sharded.
std::optional<Resource> TranslateFilterChain(const graph::VirtualHost& host,
                                             const ListenerOptions& options,
                                             const HostLookup& lookup = {},
                                             const Names& names = {});

// True if one filter chain can serve the host together with others, as far as the host itself is
// concerned: it is a plain name whose TLS Envoy terminates with the usual settings. (A host below a
// wildcard host must have a chain of its own, since Envoy prefers the wildcard's chain to a chain
// without names.)
bool ShareFilterChain(const graph::VirtualHost& host, const ListenerOptions& options);
// The shared filter chain. No host has its name: "*" has no chain.
inline constexpr std::string_view kSharedFilterChain = "*";
Resource SharedFilterChain(const ListenerOptions& options, const HostLookup& lookup);
// Returns the name of the secret of such a host. Envoy asks for the same name for a client's server
// name, in the client's spelling.
std::string OnDemandSecretName(std::string_view host);
// Returns a listener of certificates called `name`. `hosts` are the hosts whose certificates Envoy
// shall fetch, sorted.
Resource CertificatesListener(std::string_view name, const std::vector<std::string>& hosts,
                              const ListenerOptions& options);

// True if the host is served on connections of its own filter chain only: its TLS settings differ
// from the usual ones, or it is a wildcard. Otherwise a client could evade its settings through the
// connection of another host. Its routes require a connection of its own chain, and answer 421
// (Misdirected Request, RFC 9110) on any other. Browsers then try again on a new connection.
bool TakesOwnConnectionsOnly(const graph::VirtualHost& host, const ListenerOptions& options);
// The filter chain of such a host puts TLSHostValue() under this key into the connection's filter
// state, and the routes match on it.
inline constexpr std::string_view kTLSHostKey = "projectcontour.io.tls_host";
std::string TLSHostValue(std::string_view host);

Resource StatsListener(const ListenerOptions& options);

}  // namespace contour::envoy
