// SPDX-License-Identifier: Apache-2.0
// All that is served under one host name, by listener.
//
//   for (const ListenerHost& served : host.listeners) …
//   if (const ListenerHost* https = host.Find(kHTTPSListener)) …   // else it doesn't serve the host
//
// Every list is in an order that follows from the objects alone, so that equal objects give equal
// values, and equal values give equal bytes.

#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "base/indirect_optional.h"
#include "graph/model/certificate.h"
#include "graph/model/cluster.h"
#include "graph/model/listener.h"
#include "graph/model/route.h"

namespace contour::graph {

struct TCPProxy {
  std::vector<WeightedCluster> clusters;  // not empty

  bool operator==(const TCPProxy&) const = default;
};

// A host on one listener: the routes or the TCP proxy that the listener serves under the host name.
struct ListenerHost {
  ListenerKey listener;
  // The versions and the secret have a meaning in TLS only.
  TLSVersion minimum_version = TLSVersion::k1_2;
  TLSVersion maximum_version = TLSVersion::k1_3;  // below the minimum: the minimum counts
  ServingSecretPtr secret;    // nullptr in TLS: passthrough (then tcp_proxy is set)
  std::vector<Route> routes;  // sorted as Envoy must try them; no two with the same match
  IndirectOptional<TCPProxy> tcp_proxy;  // takes the connection; `routes` are then unused

  bool operator==(const ListenerHost& other) const {
    const bool same_secret =
        secret == other.secret ||
        (secret != nullptr && other.secret != nullptr && *secret == *other.secret);
    return same_secret && listener == other.listener && minimum_version == other.minimum_version &&
           maximum_version == other.maximum_version && routes == other.routes &&
           tcp_proxy == other.tcp_proxy;
  }
};

// All that is served under one host name ("*": any other). One without listener is not served.
struct VirtualHost {
  std::string host;
  // Sorted by listener, each once. Most hosts have one.
  absl::InlinedVector<ListenerHost, 1> listeners;

  // Returns nullptr if the listener doesn't serve the host.
  const ListenerHost* Find(ListenerKey listener) const {
    const auto found = std::find_if(listeners.begin(), listeners.end(),
                                    [&](const auto& one) { return one.listener == listener; });
    return found == listeners.end() ? nullptr : &*found;
  }
  // Returns the part of the listener, and adds it if it isn't there.
  ListenerHost& At(ListenerKey listener) {
    const auto at =
        std::lower_bound(listeners.begin(), listeners.end(), listener,
                         [](const auto& one, ListenerKey key) { return one.listener < key; });
    if (at != listeners.end() && at->listener == listener) return *at;
    ListenerHost added;
    added.listener = listener;
    return *listeners.insert(at, std::move(added));
  }

  bool operator==(const VirtualHost&) const = default;
};
using VirtualHostPtr = std::shared_ptr<const VirtualHost>;

}  // namespace contour::graph
