// SPDX-License-Identifier: Apache-2.0
// The listeners (envoy.config.listener.v3.Listener) and what hangs on them.
//
//   ingress_http   present iff a host has HTTP routes; one filter chain, routes by RDS
//   ingress_https  present iff a host is served by TLS; a filter chain per host, picked by SNI
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
// Pure, any thread, no errors.

#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "envoy/config_source.h"
#include "envoy/resource.h"
#include "graph/model.h"

namespace contour::envoy {

// Part of the process's configuration. Addresses are IP literals; `::` takes IPv4 too.
struct ListenerOptions {
  std::string http_address = "0.0.0.0";
  std::uint16_t http_port = 8080;
  std::string http_access_log = "/dev/stdout";  // path in Envoy's container, of ingress_http

  std::string https_address = "0.0.0.0";
  std::uint16_t https_port = 8443;
  std::string https_access_log = "/dev/stdout";

  std::string stats_address = "0.0.0.0";
  std::uint16_t stats_port = 8002;

  bool use_proxy_protocol = false;  // a PROXY preamble on both ingress listeners
  // For all hosts; the higher one of this and the host's own counts.
  graph::TLSVersion minimum_tls_version = graph::TLSVersion::k1_2;
  ConfigSource config_source = ConfigSource::kAds;
};

Resource HTTPListener(const ListenerOptions& options);

// ingress_https without its filter chains; these follow in the order of their names.
Resource HTTPSListenerHead(const ListenerOptions& options);

// The filter chain of one host in ingress_https: TLS with the host's certificate and HTTP by RDS,
// or a TCP proxy, with TLS or (passthrough) without. `name` is the host; `clusters` is what the TCP
// proxy sends to, else empty (the virtual host has them). nullopt: the host isn't served by TLS,
// has neither certificate nor TCP proxy, or no client could ask for it by SNI ("*").
std::optional<Resource> TranslateFilterChain(const graph::VirtualHost& host,
                                             const ListenerOptions& options);

Resource StatsListener(const ListenerOptions& options);

}  // namespace contour::envoy
