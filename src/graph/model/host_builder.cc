// SPDX-License-Identifier: Apache-2.0

#include "graph/model/host_builder.h"

#include <algorithm>
#include <memory>

namespace contour::graph {

HostBuilder::Part& HostBuilder::At(ListenerKey listener) {
  const auto at = std::lower_bound(
      parts_.begin(), parts_.end(), listener,
      [](const Part& part, ListenerKey key) { return part.served.listener < key; });
  if (at != parts_.end() && at->served.listener == listener) return *at;
  Part added;
  added.served.listener = listener;
  return *parts_.insert(at, std::move(added));
}

void HostBuilder::SetSecure(ListenerKey listener, ServingSecretPtr secret,
                            TLSVersion minimum_version, TLSVersion maximum_version) {
  ListenerHost& served = At(listener).served;
  served.secret = std::move(secret);
  served.minimum_version = minimum_version;
  served.maximum_version = maximum_version;
}

bool HostBuilder::HasSecret(ListenerKey listener) const {
  return std::any_of(parts_.begin(), parts_.end(), [&](const Part& part) {
    return part.served.listener == listener && part.served.secret != nullptr;
  });
}

void HostBuilder::SetTCPProxy(ListenerKey listener, TCPProxy proxy, bool passthrough) {
  ListenerHost& served = At(listener).served;
  served.tcp_proxy = std::move(proxy);
  if (passthrough) {
    served.secret = nullptr;
    // These have no meaning here, so all have one value.
    served.minimum_version = TLSVersion::k1_2;
    served.maximum_version = TLSVersion::k1_3;
  }
}

HostBuilder::Key HostBuilder::KeyOf(const RouteMatch& match) {
  switch (match.path.type) {
    case PathMatch::Type::kExact:
      return {Space::kExact, match.path.value};
    case PathMatch::Type::kRegex:
      return {Space::kRegex, match.path.value};
    case PathMatch::Type::kPrefix:
    case PathMatch::Type::kSegmentPrefix:
      break;
  }
  return {Space::kPrefix, match.path.value};
}

void HostBuilder::SetRoute(ListenerKey listener, Route route) {
  Routes& routes = At(listener).routes;
  if (route.match.path.type == PathMatch::Type::kPrefix)
    routes.erase({Space::kRegex, route.match.path.value});
  Key key = KeyOf(route.match);
  routes.insert_or_assign(std::move(key), std::move(route));
}

void HostBuilder::AddRoute(ListenerKey listener, Route route) {
  Key key = KeyOf(route.match);
  At(listener).routes.emplace(std::move(key), std::move(route));
}

std::vector<Route> HostBuilder::Sorted(Routes routes) {
  std::vector<Route> sorted;
  sorted.reserve(routes.size());
  for (const Space space : {Space::kExact, Space::kRegex, Space::kPrefix}) {
    for (auto it = routes.rbegin(); it != routes.rend(); ++it) {
      if (it->first.first == space) sorted.push_back(std::move(it->second));
    }
  }
  return sorted;
}

ClusterPtr HostBuilder::Share(Cluster cluster) {
  for (const ClusterPtr& known : recent_) {
    if (known != nullptr && *known == cluster) return known;
  }
  ClusterPtr& place = recent_[next_recent_++ % recent_.size()];
  place = std::make_shared<const Cluster>(std::move(cluster));
  return place;
}

VirtualHostPtr HostBuilder::Build() && {
  VirtualHost host;
  host.host = std::move(host_);
  for (Part& part : parts_) {
    ListenerHost& served = part.served;
    const bool tls = served.listener.protocol == ListenerKey::Protocol::kHTTPS;
    if (!served.tcp_proxy && (tls ? served.secret == nullptr : part.routes.empty())) continue;
    served.routes = Sorted(std::move(part.routes));
    host.listeners.push_back(std::move(served));
  }
  return host.listeners.empty() ? nullptr : std::make_shared<const VirtualHost>(std::move(host));
}

}  // namespace contour::graph
