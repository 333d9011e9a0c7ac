// SPDX-License-Identifier: Apache-2.0
// Names of Envoy's resources. All follow from the objects' content alone, so that every replica and
// every restart gives the same. Dashboards and log queries of installations depend on these forms
// (they are those of Contour 0.15), and so do the test vectors.
//
//   ClusterName(kuard on port 80)  →  "default/kuard/80/da39a3ee5e"
//   ServiceName(kuard, "http")     →  "default/kuard/http"
//
// Pure, any thread, no errors: a name is always text that Envoy takes (see Text in message.h).

#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>

#include "graph/model.h"

namespace contour::envoy {

// The listeners; the first two are also the names of the route configurations.
inline constexpr std::string_view kIngressHTTP = "ingress_http";
inline constexpr std::string_view kIngressHTTPS = "ingress_https";
inline constexpr std::string_view kStatsHealth = "stats-health";
// The clusters of the bootstrap.
inline constexpr std::string_view kContourCluster = "contour";
inline constexpr std::string_view kServiceStatsCluster = "service-stats";

// The parts joined by "/", if that is shorter than `limit` bytes. Else parts are shortened from the
// last to the first, each to limit / number of parts, ending in 6 digits of the SHA-256 of the
// whole, until it fits; if it never does, the first `limit` (at most 64) digits of that SHA-256.
std::string HashName(std::size_t limit, std::initializer_list<std::string_view> parts);

// `text` if it has at most `limit` bytes, else its beginning, "-" and `suffix`; a beginning of
// `suffix` alone where there is no room.
std::string Truncate(std::size_t limit, std::string_view text, std::string_view suffix);

// HashName(60, namespace, service, port, hash of how it is balanced, checked and verified, and
// whether it is plain TCP on a port whose HTTP speaks another protocol). The health check's host,
// the protocol and the limits don't count.
std::string ClusterName(const graph::Cluster& cluster);

// Statistics of a cluster: "<namespace>_<service>_<port>", never shortened.
std::string AltStatName(const graph::Cluster& cluster);

// Of a ClusterLoadAssignment: "<namespace>/<service>/<port name>", or "<namespace>/<service>" for a
// port without name; never shortened.
std::string ServiceName(std::string_view ns, std::string_view service, std::string_view port_name);

// Of the assignment inside an ExternalName cluster: as ServiceName, but with the last "/" also
// where the port has no name ("default/kuard/").
std::string ExternalServiceName(const graph::Cluster& cluster);

// HashName(60, namespace, name): the same for a renewed certificate, which Envoy then swaps in
// place.
std::string SecretName(const graph::ServingSecret& secret);

// HashName(60, host): a host of 60 characters or more becomes 60 hexadecimal digits.
std::string VirtualHostName(std::string_view host);

}  // namespace contour::envoy
