// SPDX-License-Identifier: Apache-2.0
#include "tests/support/name_faults.h"

#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <variant>

#include "envoy/cluster.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/listener.h"
#include "envoy/names.h"
#include "envoy/route.h"
#include "envoy/secret.h"
#include "graph/model/certificate.h"
#include "graph/model/cluster.h"
#include "graph/model/endpoints.h"
#include "graph/model/host.h"
#include "graph/model/route.h"

namespace contour::testing {
namespace {

using xds::ResourceType;

class Inspector {
 public:
  Inspector(const core::Pipeline& pipeline, const xds::Snapshot& snapshot,
            const core::Pipeline::Options& options)
      : hosts_(pipeline.engine().VirtualHosts()), snapshot_(snapshot), options_(options) {
    names_.hash_digits = options.hash_digits;
  }

  std::vector<std::string> Run() {
    for (const graph::VirtualHostPtr& host : hosts_) Collect(*host);
    for (const auto& [name, contents] : plain_clusters_) {
      if (contents.size() > 1) names_.contested_clusters.insert(name);
    }
    for (const auto& [name, contents] : plain_secrets_) {
      if (contents.size() > 1) names_.contested_secrets.insert(name);
    }
    Clusters();
    Assignments();
    Secrets();
    for (const graph::VirtualHostPtr& host : hosts_) Routes(*host);
    return std::move(faults_);
  }

 private:
  void Expect(bool holds, const std::string& fault) {
    if (!holds) faults_.push_back(fault);
  }

  std::string BytesOf(ResourceType type, const std::string& name) const {
    const xds::ResourcePtr resource = snapshot_.Find(type, name);
    return resource == nullptr ? "(nothing)" : resource->bytes;
  }

  void Collect(const std::vector<graph::WeightedCluster>& clusters) {
    for (const graph::WeightedCluster& one : clusters) {
      clusters_.insert(one.cluster);
      plain_clusters_[envoy::ClusterName(*one.cluster)].insert(one.cluster);
    }
  }
  void Collect(const std::vector<graph::Route>& routes) {
    for (const graph::Route& route : routes) {
      if (const auto* action = std::get_if<graph::RouteAction>(&route.action))
        Collect(action->clusters);
    }
  }
  void Collect(const graph::VirtualHost& host) {
    if (host.host.size() >= 60)
      hashed_hosts_[envoy::VirtualHostName(host.host, options_.hash_digits)].insert(host.host);
    for (const graph::ListenerHost& served : host.listeners) {
      Collect(served.routes);
      if (served.tcp_proxy) Collect(served.tcp_proxy->clusters);
      if (served.secret == nullptr) continue;
      secrets_.insert(served.secret);
      plain_secrets_[envoy::SecretName(*served.secret, options_.hash_digits)].insert(served.secret);
    }
  }

  void Clusters() {
    std::map<std::string, graph::ClusterSet> by_name;
    for (const graph::ClusterPtr& cluster : clusters_)
      by_name[names_.Cluster(*cluster)].insert(cluster);
    Expect(by_name.size() == snapshot_.table(ResourceType::kCluster).size(),
           "there are other clusters than those in use");
    std::map<std::string, std::set<std::tuple<std::string, std::string, int>>> statistics;
    for (const auto& [name, contents] : by_name) {
      const graph::Cluster& first = **contents.begin();
      const std::string wanted =
          contents.size() > 1
              ? envoy::ClosedCluster(name).resource.bytes
              : envoy::TranslateCluster(first, name, options_.listeners.config_source,
                                        options_.hash_digits)
                    .resource.bytes;
      Expect(BytesOf(ResourceType::kCluster, name) == wanted, "cluster " + name + " is another");
      if (contents.size() > 1) continue;
      ::envoy::config::cluster::v3::Cluster message;
      message.ParseFromString(wanted);
      statistics[message.alt_stat_name()].emplace(first.ns, first.service, first.port);
      if (first.external_name.empty()) {
        const graph::AssignmentKey key{first.ns, first.service, first.port_name};
        assignments_[message.eds_cluster_config().service_name()].insert(key);
      }
    }
    if (options_.hash_digits < envoy::kHashDigits) return;
    for (const auto& [name, ports] : statistics)
      Expect(ports.size() == 1, "statistics " + name + " are of several ports");
  }

  void Assignments() {
    Expect(assignments_.size() == snapshot_.table(ResourceType::kEndpoints).size(),
           "there are other assignments than those in use");
    for (const auto& [name, keys] : assignments_) {
      const xds::ResourcePtr resource = snapshot_.Find(ResourceType::kEndpoints, name);
      Expect(resource != nullptr, "assignment " + name + " isn't there");
      if (resource != nullptr && keys.size() > 1)
        Expect(resource->without_endpoints, "assignment " + name + " is one of two");
    }
  }

  void Secrets() {
    std::map<std::string, std::set<graph::ServingSecretPtr, graph::ByContent>> by_name;
    for (const graph::ServingSecretPtr& secret : secrets_)
      by_name[names_.Secret(*secret)].insert(secret);
    const bool sharded = envoy::ShardsHTTPS(options_.listeners.delivery);
    for (const auto& [name, contents] : by_name) {
      const std::string bytes = BytesOf(ResourceType::kSecret, name);
      const std::string wanted = contents.size() > 1
                                     ? "(nothing)"
                                     : envoy::TranslateSecret(**contents.begin(), name).bytes;
      // Sharded, only what filter chains name is there.
      Expect(bytes == wanted || (sharded && bytes == "(nothing)"),
             "secret " + name + " is another");
    }
    if (!sharded) return;
    for (const graph::VirtualHostPtr& host : hosts_) {
      const xds::ResourcePtr own = snapshot_.Find(ResourceType::kSecret, host->host);
      if (own == nullptr) continue;
      const graph::ListenerHost* https = host->Find(graph::kHTTPSListener);
      Expect(https != nullptr && https->secret != nullptr &&
                 envoy::TranslateSecret(*https->secret, host->host).bytes == own->bytes,
             "certificate of " + host->host + " is another");
    }
  }

  std::string RoutesOf(const std::string& name, bool https) const {
    const std::string table(https ? envoy::kIngressHTTPS : envoy::kIngressHTTP);
    const envoy::Delivery delivery = options_.listeners.delivery;
    if (https ? envoy::ShardsHTTPS(delivery) : envoy::ShardsHTTP(delivery))
      return BytesOf(ResourceType::kScopedRoutes, https ? "https/" + name : name);
    const xds::ResourcePtr routes = snapshot_.Find(ResourceType::kRoutes, table);
    const xds::PartPtr part = routes == nullptr ? nullptr : routes->parts.Find(name);
    return part == nullptr ? "(nothing)" : part->bytes;
  }

  void Routes(const graph::VirtualHost& host) {
    const std::string name = envoy::VirtualHostName(host.host, options_.hash_digits);
    const bool closed = host.host.size() >= 60 && hashed_hosts_[name].size() > 1;
    const envoy::VirtualHostResources wanted =
        envoy::TranslateVirtualHost(host, options_.listeners, names_);
    const auto expect = [&](const std::optional<envoy::Resource>& routes, bool https) {
      Expect(RoutesOf(name, https) == (closed || !routes ? "(nothing)" : routes->bytes),
             "routes of " + host.host + " are others");
    };
    expect(wanted.http, false);
    expect(wanted.https, true);
    const auto chain = envoy::TranslateFilterChain(host, options_.listeners, {}, names_);
    if (!chain || envoy::ShardsHTTPS(options_.listeners.delivery)) return;
    const xds::ResourcePtr listener = snapshot_.Find(ResourceType::kListener, envoy::kIngressHTTPS);
    const xds::PartPtr part = listener == nullptr ? nullptr : listener->parts.Find(host.host);
    Expect(part != nullptr && part->bytes == chain->bytes,
           "filter chain of " + host.host + " is another");
  }

  const std::vector<graph::VirtualHostPtr> hosts_;
  const xds::Snapshot& snapshot_;
  const core::Pipeline::Options& options_;
  envoy::Names names_;
  graph::ClusterSet clusters_;
  std::map<std::string, graph::ClusterSet> plain_clusters_;
  std::set<graph::ServingSecretPtr, graph::ByContent> secrets_;
  std::map<std::string, std::set<graph::ServingSecretPtr, graph::ByContent>> plain_secrets_;
  std::map<std::string, std::set<graph::AssignmentKey>> assignments_;  // of clusters in use
  std::map<std::string, std::set<std::string>> hashed_hosts_;
  std::vector<std::string> faults_;
};

}  // namespace

std::vector<std::string> NameFaults(const core::Pipeline& pipeline, const xds::Snapshot& snapshot,
                                    const core::Pipeline::Options& options) {
  return Inspector(pipeline, snapshot, options).Run();
}

}  // namespace contour::testing
