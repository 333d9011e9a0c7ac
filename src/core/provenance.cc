// SPDX-License-Identifier: Apache-2.0

#include "core/provenance.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "envoy/listener.h"
#include "envoy/route.h"

namespace contour::core {
namespace {

using xds::ResourceType;

template <typename Items>
void Unify(Items& items) {
  std::sort(items.begin(), items.end());
  items.erase(std::unique(items.begin(), items.end()), items.end());
}

}  // namespace

std::vector<xds::ResourceKey> Provenance::ResourcesOf(const std::string& host) const {
  std::vector<xds::ResourceKey> items;
  const auto known = state_.hosts.find(host);
  if (known == state_.hosts.end()) return items;
  const ServedHost& served = known->second;
  const auto add = [&](ResourceType type, std::string_view resource,
                       std::optional<std::string> part = std::nullopt) {
    items.push_back({type, std::string(resource), std::move(part)});
  };
  std::set<std::string> clusters;
  std::set<std::string> assignments;
  for (const graph::ClusterPtr& cluster : ClustersOf(served.virtual_host))
    clusters.insert(state_.names.Cluster(*cluster));
  for (const std::string& cluster : clusters) {
    add(ResourceType::kCluster, cluster);
    const xds::ResourcePtr resource = state_.snapshot->Find(ResourceType::kCluster, cluster);
    if (resource != nullptr && !resource->assignment.empty())
      assignments.insert(resource->assignment);
  }
  for (const std::string& assignment : assignments) add(ResourceType::kEndpoints, assignment);
  if (served.filter_chain) add(ResourceType::kListener, envoy::kIngressHTTPS, host);
  if (served.shared_chain) {
    add(ResourceType::kListener, envoy::kIngressHTTPS, std::string(envoy::kSharedFilterChain));
    add(ResourceType::kListener, state_.certificate_shards.ListenerOf(host));
  }
  const std::string virtual_host = envoy::VirtualHostName(host, state_.names.hash_digits);
  for (const std::string_view table : {envoy::kIngressHTTP, envoy::kIngressHTTPS})
    add(ResourceType::kRoutes, table, virtual_host);
  add(ResourceType::kScopedRoutes, virtual_host);
  add(ResourceType::kScopedRoutes, envoy::HTTPSScopeName(host, state_.names.hash_digits));
  if (served.shared_chain) {
    add(ResourceType::kSecret, envoy::OnDemandSecretName(host));
  } else if (const auto secret = SecretOf(served.virtual_host); secret != nullptr) {
    add(ResourceType::kSecret, state_.names.Secret(*secret));
  }
  return items;
}

std::vector<std::string> Provenance::ReadersOf(const std::vector<api::ObjectRef>& refs) const {
  std::vector<std::string> hosts;
  for (const api::ObjectRef& ref : refs) {
    std::vector<std::string> readers = state_.engine.DescribeObject(ref).hosts;
    hosts.insert(hosts.end(), std::make_move_iterator(readers.begin()),
                 std::make_move_iterator(readers.end()));
  }
  Unify(hosts);
  return hosts;
}

std::vector<std::string> Provenance::HostsNamed(const std::string& virtual_host) const {
  std::vector<std::string> hosts = state_.hashed_hosts.ContentsOf(virtual_host);
  hosts.push_back(virtual_host);  // a host whose name is not hashed
  Unify(hosts);
  return hosts;
}

std::vector<api::ObjectRef> Provenance::SecretsOf(const std::string& resource) const {
  std::vector<api::ObjectRef> secrets;
  for (const graph::ServingSecretPtr& secret : state_.secrets.ContentsOf(resource))
    secrets.push_back({api::Kind::kSecret, secret->ns, secret->name});
  return secrets;
}

std::vector<std::string> Provenance::CandidatesOf(const xds::ResourceKey& item) const {
  std::vector<api::ObjectRef> objects;
  switch (item.type) {
    case ResourceType::kCluster:
      for (const graph::ClusterPtr& cluster : state_.clusters.ContentsOf(item.resource))
        objects.push_back({api::Kind::kService, cluster->ns, cluster->service});
      return ReadersOf(objects);
    case ResourceType::kEndpoints:
      for (const graph::AssignmentKey& key : state_.assignments.ContentsOf(item.resource))
        objects.push_back({api::Kind::kService, key.ns, key.service});
      return ReadersOf(objects);
    case ResourceType::kSecret: {
      std::vector<std::string> hosts = ReadersOf(SecretsOf(item.resource));
      hosts.push_back(item.resource);  // an on-demand secret is called by its host
      Unify(hosts);
      return hosts;
    }
    case ResourceType::kListener:
      if (!item.part.has_value()) return state_.certificate_shards.HostsOf(item.resource);
      // The chain that many hosts share comes from none of them.
      if (const auto host = state_.hosts.find(*item.part);
          host != state_.hosts.end() && host->second.filter_chain)
        return {*item.part};
      return {};
    case ResourceType::kRoutes:
      return item.part.has_value() ? HostsNamed(*item.part) : std::vector<std::string>();
    case ResourceType::kScopedRoutes: {
      std::vector<std::string> hosts = HostsNamed(item.resource);
      if (const auto name = envoy::ParseHTTPSScopeName(item.resource)) {
        for (std::string& host : HostsNamed(std::string(*name))) hosts.push_back(std::move(host));
        Unify(hosts);
      }
      return hosts;
    }
  }
  return {};
}

std::vector<graph::ObjectView> Provenance::SourcesOf(const xds::ResourceKey& item,
                                                     std::size_t most) const {
  std::vector<graph::ObjectView> sources;
  std::set<api::ObjectRef> known;
  const auto add = [&](const api::ObjectRef& ref) {
    if (sources.size() < most && known.insert(ref).second)
      sources.push_back(state_.engine.DescribeObject(ref));
  };
  if (item.type == ResourceType::kSecret) {
    if (const auto secret = state_.secrets.ContentOf(item.resource))
      add({api::Kind::kSecret, (*secret)->ns, (*secret)->name});
    if (const auto host = state_.hosts.find(item.resource);
        host != state_.hosts.end() && host->second.shared_chain) {
      const graph::ServingSecretPtr of_host = SecretOf(host->second.virtual_host);
      add({api::Kind::kSecret, of_host->ns, of_host->name});
    }
  }
  for (const std::string& host : CandidatesOf(item)) {
    if (sources.size() >= most) break;
    const std::vector<xds::ResourceKey> items = ResourcesOf(host);
    if (std::find(items.begin(), items.end(), item) == items.end()) continue;
    for (const api::ObjectRef& root : state_.engine.DescribeHost(host).roots) add(root);
  }
  return sources;
}

}  // namespace contour::core
