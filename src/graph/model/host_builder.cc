// SPDX-License-Identifier: Apache-2.0

#include "graph/model/host_builder.h"

#include <memory>

namespace contour::graph {

void HostBuilder::SetSecure(ServingSecretPtr secret, TLSVersion minimum_version,
                            TLSVersion maximum_version) {
  secret_ = std::move(secret);
  minimum_version_ = minimum_version;
  maximum_version_ = maximum_version;
}

void HostBuilder::SetTCPProxy(TCPProxy proxy, bool passthrough) {
  tcp_proxy_ = std::move(proxy);
  if (passthrough) {
    secret_ = nullptr;
    // Have no meaning here; one value for all.
    minimum_version_ = TLSVersion::k1_2;
    maximum_version_ = TLSVersion::k1_3;
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

void HostBuilder::Set(Routes& routes, Route route) {
  if (route.match.path.type == PathMatch::Type::kPrefix)
    routes.erase({Space::kRegex, route.match.path.value});
  Key key = KeyOf(route.match);
  routes.insert_or_assign(std::move(key), std::move(route));
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
  host.http_routes = Sorted(std::move(http_));
  if (secret_ != nullptr || tcp_proxy_) {
    host.secure = SecureVirtualHost{.secret = std::move(secret_),
                                    .minimum_version = minimum_version_,
                                    .maximum_version = maximum_version_,
                                    .routes = Sorted(std::move(https_)),
                                    .tcp_proxy = std::move(tcp_proxy_)};
  }
  if (host.http_routes.empty() && !host.secure) return nullptr;
  return std::make_shared<const VirtualHost>(std::move(host));
}

}  // namespace contour::graph
