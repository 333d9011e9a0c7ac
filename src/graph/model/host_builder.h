// SPDX-License-Identifier: Apache-2.0
// Collects the routes, secrets and TCP proxies that the roots of one host ask for, and makes the
// virtual host from them.

#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
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

  // Returns one cluster for equal ones of this host that come close to each other: most routes of a
  // host lead to few Services, and a cluster is the largest part of a route.
  ClusterPtr Share(Cluster cluster);

  // Prefixes by string and by segment are the same match if their texts are.
  //
  // Puts the route in place of one with the same match, and of a regex of the same text.
  void SetRoute(ListenerKey listener, Route route);
  // Adds the route if there is none with the same match.
  void AddRoute(ListenerKey listener, Route route);

  // Sets the serving certificate; never null.
  void SetSecure(ListenerKey listener, ServingSecretPtr secret, TLSVersion minimum_version,
                 TLSVersion maximum_version = TLSVersion::k1_3);
  bool HasSecret(ListenerKey listener) const;
  // With `passthrough` TLS is not terminated, whatever certificate there is.
  void SetTCPProxy(ListenerKey listener, TCPProxy proxy, bool passthrough);

  // Returns nullptr if nothing is served under this host. A listener needs a TCP proxy, or with
  // TLS a secret, without a route.
  VirtualHostPtr Build() &&;

 private:
  enum class Space : std::uint8_t { kExact, kRegex, kPrefix };
  using Key = std::pair<Space, std::string>;
  using Routes = std::map<Key, Route>;

  // A listener's part, with its routes apart, by match.
  struct Part {
    ListenerHost served;
    Routes routes;
  };

  static Key KeyOf(const RouteMatch& match);
  // Returns the routes in the order in which Envoy must try them: exact paths, then regexes, then
  // prefixes, each descending by text, so that of two prefixes the longer comes first.
  static std::vector<Route> Sorted(Routes routes);

  Part& At(ListenerKey listener);

  std::string host_;
  std::array<ClusterPtr, 4> recent_;  // the last new ones; nullptr: none yet
  std::size_t next_recent_ = 0;
  absl::InlinedVector<Part, 2> parts_;  // by listener, each once
};

}  // namespace contour::graph
