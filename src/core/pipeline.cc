// SPDX-License-Identifier: Apache-2.0

#include "core/pipeline.h"

#include <algorithm>
#include <variant>

#include "envoy/cluster.h"
#include "envoy/endpoints.h"
#include "envoy/names.h"
#include "envoy/route.h"
#include "envoy/secret.h"

namespace contour::core {
namespace {

using xds::ResourceType;

xds::Resource ToResource(envoy::Resource resource) {
  return {.name = std::move(resource.name),
          .bytes = std::move(resource.bytes),
          .clusters = std::move(resource.clusters)};
}

xds::Part ToPart(envoy::Resource resource) {
  return {.name = std::move(resource.name),
          .bytes = std::move(resource.bytes),
          .clusters = std::move(resource.clusters)};
}

void SetHead(envoy::Resource head, ResourceType type, xds::SnapshotEditor& editor) {
  const std::string name = head.name;
  editor.SetHead(type, name, std::move(head.bytes), std::move(head.clusters));
}

void Collect(const std::vector<graph::WeightedCluster>& weighted,
             std::map<std::string, graph::ClusterPtr>& clusters) {
  for (const graph::WeightedCluster& one : weighted)
    clusters.emplace(envoy::ClusterName(*one.cluster), one.cluster);
}

// By name; the first of several with one name counts.
std::map<std::string, graph::ClusterPtr> ClustersOf(const graph::VirtualHost& host) {
  std::map<std::string, graph::ClusterPtr> clusters;
  const auto collect = [&](const std::vector<graph::Route>& routes) {
    for (const graph::Route& route : routes) {
      if (const auto* action = std::get_if<graph::RouteAction>(&route.action))
        Collect(action->clusters, clusters);
    }
  };
  collect(host.http_routes);
  if (host.secure) {
    collect(host.secure->routes);
    if (host.secure->tcp_proxy) Collect(host.secure->tcp_proxy->clusters, clusters);
  }
  return clusters;
}

}  // namespace

Pipeline::Pipeline(Options options) : options_(std::move(options)), engine_(options_.graph) {}

Pipeline::Output Pipeline::Apply(const std::vector<api::Change>& changes) {
  graph::Engine::Update update = engine_.Apply(changes);
  std::set<graph::ServiceKey> touched;
  for (const api::Change& change : changes) {
    for (graph::ServiceKey& service : endpoints_.Apply(change)) touched.insert(std::move(service));
  }

  xds::SnapshotEditor editor(snapshot_);
  if (snapshot_ == nullptr) {
    // They exist from the start, with hosts or without.
    if (!Sharded())
      SetHead(envoy::RouteConfigurationHead(envoy::kIngressHTTP), ResourceType::kRoutes, editor);
    SetHead(envoy::RouteConfigurationHead(envoy::kIngressHTTPS), ResourceType::kRoutes, editor);
    editor.Set(ResourceType::kListener, ToResource(envoy::StatsListener(options_.listeners)));
  }
  for (const std::string& host : update.hosts) UpdateHost(host, editor);
  UpdateClusters(editor);
  Output output;
  UpdateSecrets(editor, output);
  UpdateAssignments(touched, editor);
  UpdateListeners(editor);
  snapshot_ = editor.Commit();
  output.snapshot = snapshot_;
  output.statuses = std::move(update.statuses);
  output.problems = std::move(update.problems);
  output.ingresses = ingresses_.Apply(changes, engine_, options_.graph);
  return output;
}

void Pipeline::UpdateHost(const std::string& host, xds::SnapshotEditor& editor) {
  HostState before;
  if (const auto known = hosts_.find(host); known != hosts_.end()) {
    before = std::move(known->second);
    hosts_.erase(known);
  }
  HostState now;
  now.virtual_host = engine_.FindVirtualHost(host);

  envoy::VirtualHostResources routes;
  std::optional<envoy::Resource> chain;
  std::map<std::string, graph::ClusterPtr> clusters;
  graph::ServingSecretPtr secret;
  if (now.virtual_host != nullptr) {
    routes = envoy::TranslateVirtualHost(*now.virtual_host, options_.listeners);
    chain = envoy::TranslateFilterChain(*now.virtual_host, options_.listeners);
    clusters = ClustersOf(*now.virtual_host);
    if (now.virtual_host->secure) secret = now.virtual_host->secure->secret;
  }

  const std::string name = envoy::VirtualHostName(host);
  const auto set_routes = [&](std::string_view configuration,
                              std::optional<envoy::Resource>& part) {
    if (part) {
      editor.SetPart(ResourceType::kRoutes, configuration, ToPart(std::move(*part)));
    } else {
      editor.RemovePart(ResourceType::kRoutes, configuration, name);
    }
  };
  const bool had_http = before.virtual_host != nullptr && !before.virtual_host->http_routes.empty();
  CountHTTPHost(host, had_http, routes.http.has_value());
  if (!Sharded()) {
    set_routes(envoy::kIngressHTTP, routes.http);
  } else if (routes.http) {
    editor.Set(ResourceType::kScopedRoutes, ToResource(*std::move(routes.http)));
  } else {
    editor.Remove(ResourceType::kScopedRoutes, name);
  }
  set_routes(envoy::kIngressHTTPS, routes.https);

  now.filter_chain = chain.has_value();
  https_hosts_ += static_cast<std::size_t>(now.filter_chain);
  https_hosts_ -= static_cast<std::size_t>(before.filter_chain);
  if (chain) {
    editor.SetPart(ResourceType::kListener, envoy::kIngressHTTPS, ToPart(std::move(*chain)));
  } else if (before.filter_chain) {
    editor.RemovePart(ResourceType::kListener, envoy::kIngressHTTPS, host);
  }

  for (auto& [cluster_name, cluster] : clusters) {
    now.clusters.insert(cluster_name);
    clusters_.Set(cluster_name, host, std::move(cluster));
  }
  for (const std::string& cluster_name : before.clusters) {
    if (!now.clusters.contains(cluster_name)) clusters_.Remove(cluster_name, host);
  }
  if (secret != nullptr) {
    now.secret = envoy::SecretName(*secret);
    secrets_.Set(now.secret, host, std::move(secret));
  }
  if (!before.secret.empty() && before.secret != now.secret) secrets_.Remove(before.secret, host);

  if (now.virtual_host != nullptr) hosts_.emplace(host, std::move(now));
}

HostView Pipeline::DescribeHost(const std::string& host) const {
  HostView view{engine_.DescribeHost(host), {}};
  const auto known = hosts_.find(host);
  if (known == hosts_.end() || snapshot_ == nullptr) return view;
  const auto add = [&](ResourceType type, std::string_view name, std::string_view part = {}) {
    const xds::ResourcePtr resource = snapshot_->Find(type, name);
    if (resource == nullptr) return;
    if (part.empty()) {
      view.resources.push_back({type, resource->name, "", resource->version.Hex()});
    } else if (const xds::PartPtr found = resource->parts.Find(part); found != nullptr) {
      view.resources.push_back({type, resource->name, found->name, found->version.Hex()});
    }
  };
  const HostState& state = known->second;
  std::set<std::string> assignments;
  for (const std::string& cluster : state.clusters) {
    add(ResourceType::kCluster, cluster);
    if (const auto assignment = assignment_of_cluster_.find(cluster);
        assignment != assignment_of_cluster_.end()) {
      assignments.insert(assignment->second);
    }
  }
  for (const std::string& assignment : assignments) add(ResourceType::kEndpoints, assignment);
  if (state.filter_chain) add(ResourceType::kListener, envoy::kIngressHTTPS, host);
  for (const std::string_view table : {envoy::kIngressHTTP, envoy::kIngressHTTPS})
    add(ResourceType::kRoutes, table, envoy::VirtualHostName(host));
  add(ResourceType::kScopedRoutes, envoy::VirtualHostName(host));
  if (!state.secret.empty()) add(ResourceType::kSecret, state.secret);
  return view;
}

ObjectView Pipeline::DescribeObject(const api::ObjectRef& ref, std::size_t most_hosts) const {
  ObjectView view{engine_.DescribeObject(ref), {}};
  if (const graph::ServiceKey* service = endpoints_.FindService(ref); service != nullptr) {
    view.object.exists = true;
    view.object.hosts =
        engine_.DescribeObject({api::Kind::kService, service->ns, service->name}).hosts;
  }
  for (const std::string& host : view.object.hosts) {
    if (view.hosts.size() == most_hosts) break;
    view.hosts.push_back(DescribeHost(host));
  }
  return view;
}

std::vector<graph::ObjectView> Pipeline::SourcesOf(const xds::Item& item, std::size_t most) const {
  std::vector<graph::ObjectView> sources;
  std::set<api::ObjectRef> known;
  const auto add = [&](const api::ObjectRef& ref) {
    if (sources.size() < most && known.insert(ref).second)
      sources.push_back(engine_.DescribeObject(ref));
  };
  const auto uses = [&](const std::string& host, const HostState& state) {
    switch (item.type) {
      case ResourceType::kCluster:
        return state.clusters.contains(item.resource);
      case ResourceType::kEndpoints:
        return std::any_of(state.clusters.begin(), state.clusters.end(),
                           [&](const std::string& cluster) {
                             const auto assignment = assignment_of_cluster_.find(cluster);
                             return assignment != assignment_of_cluster_.end() &&
                                    assignment->second == item.resource;
                           });
      case ResourceType::kListener:
        return state.filter_chain && item.part == host;
      case ResourceType::kRoutes:
        return item.part == envoy::VirtualHostName(host);
      case ResourceType::kScopedRoutes:
        return item.resource == envoy::VirtualHostName(host);
      case ResourceType::kSecret:
        return state.secret == item.resource;
    }
    return false;
  };
  if (item.type == ResourceType::kSecret) {
    if (const graph::ServingSecretPtr* secret = secrets_.Find(item.resource); secret != nullptr)
      add({api::Kind::kSecret, (*secret)->ns, (*secret)->name});
  }
  for (const auto& [host, state] : hosts_) {
    if (sources.size() >= most) break;
    if (!uses(host, state)) continue;
    for (const api::ObjectRef& root : engine_.DescribeHost(host).roots) add(root);
  }
  return sources;
}

void Pipeline::CountHTTPHost(const std::string& host, bool before, bool now) {
  if (before == now) return;
  http_hosts_ = now ? http_hosts_ + 1 : http_hosts_ - 1;
  if (host == "*") http_any_host_ = now;
  if (const std::size_t labels = envoy::WildcardLabels(host); labels > 0) {
    std::size_t& hosts = http_wildcards_[labels];
    hosts = now ? hosts + 1 : hosts - 1;
    if (hosts == 0) http_wildcards_.erase(labels);
  }
}

envoy::HostLookup Pipeline::Lookup() const {
  envoy::HostLookup lookup;
  lookup.any_host = http_any_host_;
  for (const auto& [labels, hosts] : http_wildcards_) lookup.wildcard_labels.insert(labels);
  return lookup;
}

void Pipeline::UpdateClusters(xds::SnapshotEditor& editor) {
  for (const std::string& name : clusters_.TakeDirty()) {
    const graph::ClusterPtr* cluster = clusters_.Find(name);
    const auto known = assignment_of_cluster_.find(name);
    if (cluster == nullptr) {
      editor.Remove(ResourceType::kCluster, name);
      if (known != assignment_of_cluster_.end()) {
        assignments_.Remove(known->second, name);
        assignment_of_cluster_.erase(known);
      }
      continue;
    }
    envoy::ClusterResource translated =
        envoy::TranslateCluster(**cluster, options_.listeners.config_source);
    xds::Resource resource = ToResource(std::move(translated.resource));
    resource.warm_by = translated.warm_by == envoy::WarmBy::kAssignment
                           ? xds::WarmBy::kAssignment
                           : xds::WarmBy::kAcknowledgement;
    resource.assignment = translated.assignment.value_or("");
    if (known != assignment_of_cluster_.end() && known->second != resource.assignment) {
      assignments_.Remove(known->second, name);
      assignment_of_cluster_.erase(known);
    }
    if (!resource.assignment.empty()) {
      assignment_of_cluster_.insert_or_assign(name, resource.assignment);
      assignments_.Set(resource.assignment, name,
                       AssignmentKey{{(*cluster)->ns, (*cluster)->service}, (*cluster)->port_name});
    }
    editor.Set(ResourceType::kCluster, std::move(resource));
  }
}

void Pipeline::UpdateSecrets(xds::SnapshotEditor& editor, Output& output) {
  for (const std::string& name : secrets_.TakeDirty()) {
    const graph::ServingSecretPtr* secret = secrets_.Find(name);
    output.secrets.emplace_back(name, secret == nullptr ? nullptr : *secret);
    if (secret != nullptr) {
      editor.Set(ResourceType::kSecret, ToResource(envoy::TranslateSecret(**secret)));
    } else {
      editor.Remove(ResourceType::kSecret, name);
    }
  }
}

void Pipeline::UpdateAssignments(const std::set<graph::ServiceKey>& touched,
                                 xds::SnapshotEditor& editor) {
  std::set<std::string> dirty = assignments_.TakeDirty();
  for (const graph::ServiceKey& service : touched) {
    if (const auto used = assignments_of_service_.find(service);
        used != assignments_of_service_.end()) {
      dirty.insert(used->second.begin(), used->second.end());
    }
  }
  for (const std::string& name : dirty) {
    const AssignmentKey* key = assignments_.Find(name);
    const auto known = service_of_assignment_.find(name);
    if (known != service_of_assignment_.end() &&
        (key == nullptr || known->second != key->service)) {
      const auto service = assignments_of_service_.find(known->second);
      service->second.erase(name);
      if (service->second.empty()) assignments_of_service_.erase(service);
      service_of_assignment_.erase(known);
    }
    if (key == nullptr) {
      editor.Remove(ResourceType::kEndpoints, name);
      continue;
    }
    assignments_of_service_[key->service].insert(name);
    service_of_assignment_.insert_or_assign(name, key->service);
    const graph::Assignment assignment = endpoints_.Build(key->service, key->port_name);
    xds::Resource resource = ToResource(envoy::TranslateAssignment(assignment));
    resource.without_endpoints = assignment.addresses.empty();
    editor.Set(ResourceType::kEndpoints, std::move(resource));
  }
}

void Pipeline::UpdateListeners(xds::SnapshotEditor& editor) {
  if (http_hosts_ > 0) {
    if (envoy::HostLookup lookup = Lookup(); !http_listener_ || http_listener_->first != lookup) {
      envoy::Resource listener = envoy::HTTPListener(options_.listeners, lookup);
      http_listener_.emplace(std::move(lookup), std::move(listener));
    }
    editor.Set(ResourceType::kListener, ToResource(http_listener_->second));
  } else {
    editor.Remove(ResourceType::kListener, envoy::kIngressHTTP);
  }
  if (https_hosts_ > 0) {
    if (!https_listener_) https_listener_ = envoy::HTTPSListenerHead(options_.listeners);
    SetHead(*https_listener_, ResourceType::kListener, editor);
  } else {
    editor.Remove(ResourceType::kListener, envoy::kIngressHTTPS);
  }
}

}  // namespace contour::core
