// SPDX-License-Identifier: Apache-2.0
// Names of Envoy's resources. All follow from the objects' content alone, so that every replica and
// every restart gives the same. Dashboards and log queries of installations depend on these forms
// (they are those of Contour 0.15), and so do the test vectors.
//
//   ClusterName(kuard on port 80)  →  "default/kuard/80/da39a3ee5e"
//   ServiceName(kuard, "http")     →  "default/kuard/http"
//
// The plain names of clusters and secrets (ClusterName, SecretName) are short and not unique: two
// contents may get one plain name, and whoever may create objects can search for such a pair. A
// plain name is therefore used only while it belongs to one content. Else it is contested, and each
// of its contents is called by its full name, which ends in "/sha256-" and a SHA-256 over all that
// makes the content:
//
//   names.Cluster(kuard on port 80)  →  "default/kuard/80/sha256-0c1f…"   if the plain one is contested
//
// Names of different kinds and forms never meet: a full name ends in what no plain name ends in.
// Names of assignments, statistics, virtual hosts and scopes are unique by themselves: they are
// made of parts without the separator, or carry a SHA-256.
//
// Pure, any thread, no errors: a name is always text that Envoy takes (see Text in message.h).

#pragma once

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "graph/model/model.h"

namespace contour::envoy {

// The listeners; the first two are also the names of the route configurations.
inline constexpr std::string_view kIngressHTTP = "ingress_http";
inline constexpr std::string_view kIngressHTTPS = "ingress_https";
inline constexpr std::string_view kStatsHealth = "stats-health";
// The clusters of the bootstrap.
inline constexpr std::string_view kContourCluster = "contour";
inline constexpr std::string_view kServiceStatsCluster = "service-stats";

// Digits of a whole SHA-256. Tests take fewer, so that hashes meet which otherwise never would.
inline constexpr std::size_t kHashDigits = 64;

// The parts joined by "/", if that is shorter than `limit` bytes. Else parts are shortened from the
// last to the first, each to limit / number of parts, ending in 6 digits of the SHA-256 of the
// whole, until it fits; if it never does, the first `limit` (at most 64) digits of that SHA-256.
std::string HashName(std::size_t limit, std::initializer_list<std::string_view> parts);

// `text` if it has at most `limit` bytes, else its beginning, "-" and `suffix`; a beginning of
// `suffix` alone where there is no room.
std::string Truncate(std::size_t limit, std::string_view text, std::string_view suffix);

// The plain name: HashName(60, namespace, service, port, hash of how it is balanced, checked and
// verified, and whether it is plain TCP on a port whose HTTP speaks another protocol). The health
// check's host, the protocol and the limits don't count, and texts are joined without separators.
std::string ClusterName(const graph::Cluster& cluster);
// The full name: "<namespace>/<service>/<port>/sha256-" and a hash of the whole content.
std::string FullClusterName(const graph::Cluster& cluster, std::size_t digits = kHashDigits);

// The plain name: HashName(60, namespace, name), the same for a renewed certificate, which Envoy
// then swaps in place. The full one where that would not be of the form "<namespace>/<name>".
std::string SecretName(const graph::ServingSecret& secret, std::size_t digits = kHashDigits);
// The full name: "<namespace>/<name>/sha256-" and a hash of both.
std::string FullSecretName(const graph::ServingSecret& secret, std::size_t digits = kHashDigits);

// Returns namespace and name of the Secret whose SecretName this is; nullopt if it was shortened or
// carries a hash.
std::optional<std::pair<std::string, std::string>> ParseSecretName(std::string_view name);

// The names of clusters and secrets among all that are served at one time.
struct Names {
  // Plain names that two or more contents have.
  std::set<std::string, std::less<>> contested_clusters = {};
  std::set<std::string, std::less<>> contested_secrets = {};
  std::size_t hash_digits = kHashDigits;

  std::string Cluster(const graph::Cluster& cluster) const;
  std::string Secret(const graph::ServingSecret& secret) const;
};

// Statistics of a cluster: "<namespace>_<service>_<port>", never shortened. Clusters of one port of
// a Service share them, whatever their settings. Where a part has a character that would blur which
// port it is (no Kubernetes name has), "_sha256-" and a hash follow.
std::string AltStatName(const graph::Cluster& cluster, std::size_t digits = kHashDigits);

// The name of a ClusterLoadAssignment: "<namespace>/<service>/<port name>", or
// "<namespace>/<service>" for a port without name; never shortened. Where a part is empty or has a
// character that no Kubernetes name has, "/sha256-" and a hash follow.
std::string ServiceName(const graph::AssignmentKey& key, std::size_t digits = kHashDigits);
// Returns the key whose ServiceName this is; nullopt if the name doesn't tell, or there is none.
std::optional<graph::AssignmentKey> ParseServiceName(std::string_view name);
// The beginning of ServiceName for all ports of the Service: the name is equal to it, or goes on
// with "/".
std::string ServiceNamePrefix(std::string_view ns, std::string_view service);

// The name of the assignment inside an ExternalName cluster: "<namespace>/<service>/<port name>",
// with the last "/" also where the port has no name ("default/kuard/"). Nothing refers to it.
std::string ExternalServiceName(const graph::Cluster& cluster);

// HashName(60, host): a host of 60 characters or more becomes 60 hexadecimal digits.
std::string VirtualHostName(std::string_view host, std::size_t digits = kHashDigits);
// True if the name of the virtual host is a hash of the host, and not the host itself.
bool HashesHost(std::string_view host);

}  // namespace contour::envoy
