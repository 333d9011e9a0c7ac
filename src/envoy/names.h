// SPDX-License-Identifier: Apache-2.0
// Names of Envoy's resources. All follow from the objects' content alone, so that every replica and
// every restart gives the same names. The forms are those of Contour 0.15, since dashboards and log
// queries of installations depend on them.
//
//   ClusterName(kuard on port 80)  →  "default/kuard/80/da39a3ee5e"
//   ServiceName(kuard, "http")     →  "default/kuard/http"
//
// The plain names of clusters and secrets (ClusterName, SecretName) are short and not unique: two
// contents may get one plain name, and whoever may create objects can search for such a pair. A
// plain name is therefore used only while it belongs to one content. Otherwise it is contested, and
// each of its contents gets its full name, which ends in "/sha256-" and a SHA-256 over the whole
// content:
//
//   names.Cluster(kuard on port 80)  →  "default/kuard/80/sha256-0c1f…"   if it is contested
//
// Names of different kinds and forms are never equal: no plain name ends like a full name. Names of
// assignments, statistics, virtual hosts and scopes are unique by themselves: they are made of
// parts without the separator, or have a SHA-256.
//
// Pure, any thread, no errors: a name is always text that Envoy takes (see Text in message.h).

#pragma once

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "graph/model/certificate.h"
#include "graph/model/cluster.h"
#include "graph/model/endpoints.h"

namespace contour::envoy {

// The listeners; the first two are also the names of the route configurations.
inline constexpr std::string_view kIngressHTTP = "ingress_http";
inline constexpr std::string_view kIngressHTTPS = "ingress_https";
inline constexpr std::string_view kStatsHealth = "stats-health";
// The clusters of the bootstrap.
inline constexpr std::string_view kContourCluster = "contour";
inline constexpr std::string_view kServiceStatsCluster = "service-stats";

// The digits of a whole SHA-256. Tests take fewer, so that different contents get equal hashes.
inline constexpr std::size_t kHashDigits = 64;

// Returns the parts joined by "/", if that is shorter than `limit` bytes. Otherwise it shortens
// parts from the last to the first until the name fits, each to limit / number of parts with 6
// digits of the SHA-256 of the whole at its end. If it never fits, the name is the first `limit`
// (at most 64) digits of that SHA-256.
std::string HashName(std::size_t limit, std::initializer_list<std::string_view> parts);

// Returns `text` if it has at most `limit` bytes, else its beginning, "-" and `suffix`. If there is
// no room for that, it returns the beginning of `suffix`.
std::string Truncate(std::size_t limit, std::string_view text, std::string_view suffix);

// Returns the plain name: HashName(60, namespace, service, port, hash). The hash is over load
// balancing, health check and upstream validation, and over the mark of plain TCP on a port whose
// HTTP speaks another protocol. The health check's host, the protocol and the limits don't count,
// and texts are joined without separators.
std::string ClusterName(const graph::Cluster& cluster);
// Returns the full name: "<namespace>/<service>/<port>/sha256-" and a hash of the whole content.
std::string FullClusterName(const graph::Cluster& cluster, std::size_t digits = kHashDigits);

// Returns the plain name: HashName(60, namespace, name). A renewed certificate has the same name,
// so that Envoy replaces it in place. If the result isn't of the form "<namespace>/<name>", the
// full name is returned.
std::string SecretName(const graph::ServingSecret& secret, std::size_t digits = kHashDigits);
// Returns the full name: "<namespace>/<name>/sha256-" and a hash of both.
std::string FullSecretName(const graph::ServingSecret& secret, std::size_t digits = kHashDigits);

// Returns namespace and name of the Secret whose SecretName this is; nullopt if it was shortened or
// has a hash.
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

// Returns the names of clusters while one host is translated. It computes the digest of each
// cluster once, even if many routes lead to it. The clusters must outlive it.
class ClusterNamer {
 public:
  explicit ClusterNamer(const Names& names) : names_(names) {}
  const std::string& NameOf(const graph::Cluster& cluster);
  std::size_t hash_digits() const { return names_.hash_digits; }

 private:
  const Names& names_;
  std::unordered_map<const graph::Cluster*, std::string> known_;
};

// Returns the name for the statistics of a cluster: "<namespace>_<service>_<port>", never
// shortened. Clusters of one port of a Service share it, whatever their settings. If a part has a
// character by which the name would be ambiguous (no Kubernetes name has one), "_sha256-" and a
// hash follow.
std::string AltStatName(const graph::Cluster& cluster, std::size_t digits = kHashDigits);

// Returns the name of a ClusterLoadAssignment: "<namespace>/<service>/<port name>", or
// "<namespace>/<service>" for a port without name; never shortened. If a part is empty or has a
// character that no Kubernetes name has, "/sha256-" and a hash follow.
std::string ServiceName(const graph::AssignmentKey& key, std::size_t digits = kHashDigits);
// Returns the key whose ServiceName this is; nullopt if it isn't one, or has a hash.
std::optional<graph::AssignmentKey> ParseServiceName(std::string_view name);
// Returns the beginning of ServiceName for all ports of the Service: the name is equal to it, or
// continues with "/".
std::string ServiceNamePrefix(std::string_view ns, std::string_view service);

// Returns the name of the assignment inside an ExternalName cluster: "<namespace>/<service>/<port
// name>". The last "/" is there also if the port has no name ("default/kuard/"). Nothing refers to
// it.
std::string ExternalServiceName(const graph::Cluster& cluster);

// Returns HashName(60, host): a host of 60 characters or more becomes 60 hexadecimal digits.
std::string VirtualHostName(std::string_view host, std::size_t digits = kHashDigits);
// True if the name of the virtual host is a hash of the host, and not the host itself.
bool HashesHost(std::string_view host);

}  // namespace contour::envoy
