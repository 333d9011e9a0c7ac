// SPDX-License-Identifier: Apache-2.0
#include "tests/support/closed_snapshot.h"

#include <map>
#include <set>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/config/route/v3/scoped_route.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "envoy/on_demand_secret.pb.h"
#include "envoy/route.h"

namespace contour::testing {
namespace {

using xds::ResourceType;
using OnDemandSecret =
    ::envoy::extensions::transport_sockets::tls::cert_selectors::on_demand_secret::v3::Config;

class Inspector {
 public:
  explicit Inspector(const xds::Snapshot& snapshot) : snapshot_(snapshot) {}

  std::vector<std::string> Run() {
    Each<::envoy::config::route::v3::RouteConfiguration>(
        ResourceType::kRoutes, [&](const auto& name, const auto& routes) { Routes(name, routes); });
    std::set<std::string> keys;
    Each<::envoy::config::route::v3::ScopedRouteConfiguration>(
        ResourceType::kScopedRoutes, [&](const auto& name, const auto& scope) {
          Expect(scope.name() == name, "scope " + name + " calls itself " + scope.name());
          std::string key;
          for (const auto& fragment : scope.key().fragments())
            key += (key.empty() ? "" : " ") + fragment.string_key();
          Expect(keys.insert(key).second, "key twice: " + key);
          Routes(name, scope.route_configuration());
        });
    Each<::envoy::config::listener::v3::Listener>(
        ResourceType::kListener,
        [&](const auto& name, const auto& listener) { Listeners(name, listener); });
    Each<::envoy::config::cluster::v3::Cluster>(
        ResourceType::kCluster,
        [&](const auto& name, const auto& cluster) { Clusters(name, cluster); });
    Each<::envoy::config::endpoint::v3::ClusterLoadAssignment>(
        ResourceType::kEndpoints, [&](const auto& name, const auto& assignment) {
          Expect(assignment.cluster_name() == name,
                 "assignment " + name + " calls itself " + assignment.cluster_name());
          Expect(assignments_.contains(name), "assignment " + name + " isn't used");
        });
    Each<::envoy::extensions::transport_sockets::tls::v3::Secret>(
        ResourceType::kSecret, [&](const auto& name, const auto&) {
          Expect(secrets_.contains(name), "secret " + name + " isn't used");
        });
    Exist(ResourceType::kCluster, clusters_);
    Exist(ResourceType::kEndpoints, assignments_);
    Exist(ResourceType::kSecret, secrets_);
    return std::move(faults_);
  }

 private:
  void Expect(bool holds, const std::string& fault) {
    if (!holds) faults_.push_back(fault);
  }

  template <typename Message, typename Function>
  void Each(ResourceType type, Function&& function) {
    snapshot_.table(type).ForEach([&](const xds::ResourcePtr& resource) {
      Message message;
      if (!message.ParseFromString(xds::Assemble(type, *resource))) {
        faults_.push_back(resource->name + " is no message");
        return;
      }
      function(resource->name, message);
    });
  }

  void Exist(ResourceType type, const std::set<std::string>& names) {
    for (const std::string& name : names) {
      Expect(snapshot_.Find(type, name) != nullptr,
             std::string(xds::Info(type).name) + " " + name + " is named and isn't there");
    }
  }

  void Routes(const std::string& name,
              const ::envoy::config::route::v3::RouteConfiguration& routes) {
    std::set<std::string> domains;
    for (const auto& host : routes.virtual_hosts()) {
      for (const std::string& domain : host.domains()) {
        Expect(domains.insert(domain).second, name + ": domain twice: " + domain);
      }
      Expect(!host.routes().empty(), name + ": no routes: " + host.name());
      for (const auto& route : host.routes()) {
        if (!route.has_route()) continue;
        const auto& action = route.route();
        Expect(action.has_cluster() || action.has_weighted_clusters(),
               name + ": a route of " + host.name() + " leads nowhere");
        if (action.has_cluster() && action.cluster() != envoy::kNoCluster)
          clusters_.insert(action.cluster());
        for (const auto& cluster : action.weighted_clusters().clusters()) {
          clusters_.insert(cluster.name());
        }
      }
    }
  }

  void Listeners(const std::string& name, const ::envoy::config::listener::v3::Listener& listener) {
    using ::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
    using ::envoy::extensions::transport_sockets::tls::v3::DownstreamTlsContext;
    Expect(!listener.filter_chains().empty(), name + ": no filter chain");
    std::set<std::string> servers;
    for (const auto& chain : listener.filter_chains()) {
      for (const std::string& server : chain.filter_chain_match().server_names()) {
        Expect(servers.insert(server).second, name + ": server name twice: " + server);
      }
      DownstreamTlsContext context;
      if (chain.has_transport_socket() &&
          chain.transport_socket().typed_config().UnpackTo(&context)) {
        for (const auto& secret :
             context.common_tls_context().tls_certificate_sds_secret_configs()) {
          secrets_.insert(secret.name());
        }
        OnDemandSecret selector;
        context.common_tls_context().custom_tls_certificate_selector().typed_config().UnpackTo(
            &selector);
        for (const std::string& secret : selector.prefetch_secret_names())
          Expect(secrets_.insert(secret).second, name + ": certificate twice: " + secret);
      }
      for (const auto& filter : chain.filters()) {
        TcpProxy proxy;
        if (!filter.typed_config().UnpackTo(&proxy)) continue;
        if (!proxy.cluster().empty()) clusters_.insert(proxy.cluster());
        for (const auto& cluster : proxy.weighted_clusters().clusters()) {
          clusters_.insert(cluster.name());
        }
      }
    }
  }

  void Clusters(const std::string& name, const ::envoy::config::cluster::v3::Cluster& cluster) {
    Expect(cluster.name() == name, "cluster " + name + " calls itself " + cluster.name());
    if (cluster.type() == ::envoy::config::cluster::v3::Cluster::EDS) {
      assignments_.insert(cluster.eds_cluster_config().service_name());
    }
  }

  const xds::Snapshot& snapshot_;
  std::vector<std::string> faults_;
  std::set<std::string> clusters_;  // named by routes and TCP proxies
  std::set<std::string> assignments_;
  std::set<std::string> secrets_;
};

}  // namespace

std::vector<std::string> Faults(const xds::Snapshot& snapshot) { return Inspector(snapshot).Run(); }

}  // namespace contour::testing
