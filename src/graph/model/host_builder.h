// SPDX-License-Identifier: Apache-2.0
// Collects what the roots of one host ask for, and makes the virtual host of it.

#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "graph/model/certificate.h"
#include "graph/model/cluster.h"
#include "graph/model/host.h"
#include "graph/model/listener.h"
#include "graph/model/match.h"
#include "graph/model/route.h"

namespace contour::graph {

class HostBuilder {
 public:
  explicit HostBuilder(std::string host) : host_(std::move(host)) {}

  const std::string& host() const { return host_; }

  // One cluster for equal ones of this host that come close to each other: most routes of a host
  // lead to few Services, and a cluster is the largest part of a route.
  ClusterPtr Share(Cluster cluster);

  // Prefixes by string and by segment are the same match if their texts are.
  //
  // Set: instead of what there is with the same match, a regex of the same text included.
  void SetHTTPRoute(Route route) { Set(http_, std::move(route)); }
  void SetHTTPSRoute(Route route) { Set(https_, std::move(route)); }
  // Add: only if there is none with the same match.
  void AddHTTPRoute(Route route) { Add(http_, std::move(route)); }
  void AddHTTPSRoute(Route route) { Add(https_, std::move(route)); }

  // The serving certificate; never null.
  void SetSecure(ServingSecretPtr secret, TLSVersion minimum_version,
                 TLSVersion maximum_version = TLSVersion::k1_3);
  bool has_secret() const { return secret_ != nullptr; }
  // With `passthrough` connections are not ended here, whatever certificate there is.
  void SetTCPProxy(TCPProxy proxy, bool passthrough);

  // nullptr: nothing is served under this host. HTTPS needs a secret or a TCP proxy, HTTP a route.
  VirtualHostPtr Build() &&;

 private:
  enum class Space : std::uint8_t { kExact, kRegex, kPrefix };
  using Key = std::pair<Space, std::string>;
  using Routes = std::map<Key, Route>;

  static Key KeyOf(const RouteMatch& match);
  static void Set(Routes& routes, Route route);
  static void Add(Routes& routes, Route route) {
    routes.emplace(KeyOf(route.match), std::move(route));
  }
  // The order in which Envoy must try them: exact paths, then regexes, then prefixes; each
  // descending by text, so that of two prefixes the longer comes first.
  static std::vector<Route> Sorted(Routes routes);

  std::string host_;
  std::array<ClusterPtr, 4> recent_;  // the last new ones; nullptr: none yet
  std::size_t next_recent_ = 0;
  Routes http_;
  Routes https_;
  ServingSecretPtr secret_;
  TLSVersion minimum_version_ = TLSVersion::k1_2;
  TLSVersion maximum_version_ = TLSVersion::k1_3;
  std::optional<TCPProxy> tcp_proxy_;
};

}  // namespace contour::graph
