// SPDX-License-Identifier: Apache-2.0
// All that is served under one host name.
//
// Every list is in an order that follows from the objects alone, so that equal objects give equal
// values, and equal values give equal bytes.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/box.h"
#include "graph/model/certificate.h"
#include "graph/model/cluster.h"
#include "graph/model/listener.h"
#include "graph/model/route.h"

namespace contour::graph {

struct TCPProxy {
  std::vector<WeightedCluster> clusters;  // not empty

  bool operator==(const TCPProxy&) const = default;
};

// What is served under one host name on port 443.
struct SecureVirtualHost {
  ServingSecretPtr secret;  // nullptr: TLS passthrough (then tcp_proxy is set)
  TLSVersion minimum_version = TLSVersion::k1_2;
  TLSVersion maximum_version = TLSVersion::k1_3;  // below the minimum: the minimum counts
  std::vector<Route> routes;                      // may be empty; https_redirect is never set
  Box<TCPProxy> tcp_proxy;                        // takes the connection; `routes` are then unused

  bool operator==(const SecureVirtualHost& other) const {
    const bool same_secret =
        secret == other.secret ||
        (secret != nullptr && other.secret != nullptr && *secret == *other.secret);
    return same_secret && minimum_version == other.minimum_version &&
           maximum_version == other.maximum_version && routes == other.routes &&
           tcp_proxy == other.tcp_proxy;
  }
};

// All that is served under one host name ("*": any other). One with neither side is not served.
struct VirtualHost {
  std::string host;

  // Port 80. Sorted as Envoy must try them (see SortRoutes); no two with the same match.
  std::vector<Route> http_routes;

  Box<SecureVirtualHost> secure;  // port 443; nullopt: none

  bool operator==(const VirtualHost&) const = default;
};
using VirtualHostPtr = std::shared_ptr<const VirtualHost>;

}  // namespace contour::graph
