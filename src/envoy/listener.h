// SPDX-License-Identifier: Apache-2.0
// The listeners (envoy.config.listener.v3.Listener) and what hangs on them.
//
//   ingress_http   present iff a host has HTTP routes; one filter chain, routes by RDS or, sharded,
//                  by scoped routes
//   ingress_https  present iff a host is served by TLS; a filter chain per host, picked by SNI; in
//                  the shape kShardedHTTPS one chain for all hosts that ShareFilterChain()
//   certificates   in that shape: they bind no port and make Envoy fetch the certificates of the
//                  shared chain before a client asks for them
//   stats-health   always: Envoy's metrics (/stats) and health (/healthz)
//
// The caller decides which are present. ingress_https is a head and parts:
//
//   std::string bytes = HTTPSListenerHead(options).bytes;
//   for (const auto& host : hosts) {
//     if (const auto chain = TranslateFilterChain(*host, options))
//       AppendPart(kFilterChainsField, chain->bytes, &bytes);
//   }
//
// The shared chain takes the certificate from the secret that is named by the server name (see
// OnDemandSecretName), which Envoy subscribes to at the first handshake; a name that nobody serves
// must be answered at once, or the handshake waits kHandshakeTimeout. Sessions can't be resumed
// there: Envoy refuses the selector otherwise. Tested with Envoy 1.40; older ones may lack it.
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
#include "graph/model/model.h"

namespace contour::envoy {

// Part of the process's configuration. Addresses are IP literals; `::` takes IPv4 too.
struct ListenerOptions {
  std::string http_address = "0.0.0.0";
  std::uint16_t http_port = 8080;
  std::string http_access_log = "/dev/stdout";  // path in Envoy's container, of ingress_http

  std::string https_address = "0.0.0.0";
  std::uint16_t https_port = 8443;
  std::string https_access_log = "/dev/stdout";

  AccessLogOptions access_log;  // of both

  std::string stats_address = "0.0.0.0";
  std::uint16_t stats_port = 8002;

  bool use_proxy_protocol = false;  // a PROXY preamble on both ingress listeners
  // Requests at a time on one HTTP/2 connection of a client.
  std::uint32_t max_concurrent_streams = 100;
  // For all hosts; the higher one of this and the host's own counts.
  graph::TLSVersion minimum_tls_version = graph::TLSVersion::k1_2;
  ConfigSource config_source = ConfigSource::kAds;
  Delivery delivery = Delivery::kClassic;
};

// `lookup`: what hosts there are beside plain ones; see host_lookup.h.
Resource HTTPListener(const ListenerOptions& options, const HostLookup& lookup = {});

// ingress_https without its filter chains; these follow in the order of their names.
Resource HTTPSListenerHead(const ListenerOptions& options);

// Whether there is a filter chain for the host: it is served by TLS, has a certificate or a TCP
// proxy, and a client can ask for it by SNI (not "*").
bool HasFilterChain(const graph::VirtualHost& host);

// The filter chain of one host in ingress_https: TLS with the host's certificate and HTTP by RDS,
// or a TCP proxy, with TLS or (passthrough) without. `name` is the host; `clusters` is what the TCP
// proxy sends to, else empty (the virtual host has them). nullopt: HasFilterChain says no.
// `lookup`: what hosts there are beside plain ones; matters where HTTPS is sharded.
std::optional<Resource> TranslateFilterChain(const graph::VirtualHost& host,
                                             const ListenerOptions& options,
                                             const HostLookup& lookup = {},
                                             const Names& names = {});

// Whether one filter chain can serve the host together with others, as far as the host itself is
// concerned: a plain name, terminated here with the usual settings. (What a wildcard host's chain
// covers must have a chain of its own, for Envoy prefers the wildcard to a chain without names.)
bool ShareFilterChain(const graph::VirtualHost& host, const ListenerOptions& options);
// That chain. Its name is of no host: "*" has no chain.
inline constexpr std::string_view kSharedFilterChain = "*";
Resource SharedFilterChain(const ListenerOptions& options, const HostLookup& lookup);
// The secret of such a host; also what a client's server name asks for, in the client's spelling.
std::string OnDemandSecretName(std::string_view host);
// A listener of certificates: `name`, and the hosts of which Envoy shall have them, sorted.
Resource CertificatesListener(std::string_view name, const std::vector<std::string>& hosts,
                              const ListenerOptions& options);

// Whether the host is served on connections of its own filter chain only: its TLS settings are
// other than those of all, or it is a wildcard. Such a host must not be reached round its settings,
// through the connection of another host: its routes ask for a connection of its own chain, and
// answer 421 (Misdirected Request, RFC 9110) on any other. Browsers then try again on a new
// connection.
bool TakesOwnConnectionsOnly(const graph::VirtualHost& host, const ListenerOptions& options);
// How routes know: the filter chain of such a host puts TLSHostValue() under this key into the
// connection's filter state.
inline constexpr std::string_view kTLSHostKey = "projectcontour.io.tls_host";
std::string TLSHostValue(std::string_view host);

Resource StatsListener(const ListenerOptions& options);

}  // namespace contour::envoy
