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

// By name; the first of several with one name counts. None of a host that isn't served (nullptr).
std::map<std::string, graph::ClusterPtr> ClustersOf(const graph::VirtualHostPtr& host) {
  std::map<std::string, graph::ClusterPtr> clusters;
  if (host == nullptr) return clusters;
  const auto collect = [&](const std::vector<graph::Route>& routes) {
    for (const graph::Route& route : routes) {
      if (const auto* action = std::get_if<graph::RouteAction>(&route.action))
        Collect(action->clusters, clusters);
    }
  };
  collect(host->http_routes);
  if (host->secure) {
    collect(host->secure->routes);
    if (host->secure->tcp_proxy) Collect(host->secure->tcp_proxy->clusters, clusters);
  }
  return clusters;
}

// The name of the assignment that a cluster takes its endpoints from; "": of none.
std::string AssignmentOf(const xds::Snapshot& snapshot, std::string_view cluster) {
  const xds::ResourcePtr resource = snapshot.Find(ResourceType::kCluster, cluster);
  return resource == nullptr ? "" : resource->assignment;
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
    if (!envoy::ShardsHTTP(options_.listeners.delivery))
      SetHead(envoy::RouteConfigurationHead(envoy::kIngressHTTP), ResourceType::kRoutes, editor);
    if (!envoy::ShardsHTTPS(options_.listeners.delivery))
      SetHead(envoy::RouteConfigurationHead(envoy::kIngressHTTPS), ResourceType::kRoutes, editor);
    editor.Set(ResourceType::kListener, ToResource(envoy::StatsListener(options_.listeners)));
  }
  for (const std::string& host : update.hosts) UpdateRoutes(host, editor);
  UpdateTLS(update.hosts, editor);
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

void Pipeline::UpdateRoutes(const std::string& host, xds::SnapshotEditor& editor) {
  HostState& state = hosts_[host];
  const graph::VirtualHostPtr before =
      std::exchange(state.virtual_host, engine_.FindVirtualHost(host));

  envoy::VirtualHostResources routes;
  if (state.virtual_host != nullptr)
    routes = envoy::TranslateVirtualHost(*state.virtual_host, options_.listeners);

  const auto set_routes = [&](bool scoped, std::string_view configuration, const std::string& name,
                              std::optional<envoy::Resource>& part) {
    if (scoped && part) {
      editor.Set(ResourceType::kScopedRoutes, ToResource(std::move(*part)));
    } else if (scoped) {
      editor.Remove(ResourceType::kScopedRoutes, name);
    } else if (part) {
      editor.SetPart(ResourceType::kRoutes, configuration, ToPart(std::move(*part)));
    } else {
      editor.RemovePart(ResourceType::kRoutes, configuration, name);
    }
  };
  const envoy::Delivery delivery = options_.listeners.delivery;
  const bool had_http = before != nullptr && !before->http_routes.empty();
  http_hosts_.Count(host, had_http, routes.http.has_value());
  https_hosts_.Count(host, state.https_routes, routes.https.has_value());
  state.https_routes = routes.https.has_value();
  set_routes(envoy::ShardsHTTP(delivery), envoy::kIngressHTTP, envoy::VirtualHostName(host),
             routes.http);
  set_routes(
      envoy::ShardsHTTPS(delivery), envoy::kIngressHTTPS,
      envoy::ShardsHTTPS(delivery) ? envoy::HTTPSScopeName(host) : envoy::VirtualHostName(host),
      routes.https);

  std::map<std::string, graph::ClusterPtr> clusters = ClustersOf(state.virtual_host);
  for (const auto& [cluster_name, cluster] : ClustersOf(before)) {
    if (!clusters.contains(cluster_name)) clusters_.Remove(cluster_name, host);
  }
  for (auto& [cluster_name, cluster] : clusters)
    clusters_.Set(cluster_name, host, std::move(cluster));

  if (!envoy::ShardsHTTPS(delivery) || !envoy::IsWildcardHost(host)) return;
  const bool chain = state.virtual_host != nullptr && envoy::HasFilterChain(*state.virtual_host);
  const bool changed =
      chain ? wildcard_chains_.insert(host).second : wildcard_chains_.erase(host) > 0;
  wildcard_chains_changed_ = wildcard_chains_changed_ || changed;
}

// Filter chains and certificates of `hosts`, and of those that theirs hang on.
void Pipeline::UpdateTLS(const std::vector<std::string>& hosts, xds::SnapshotEditor& editor) {
  bool all = false;
  if (envoy::ShardsHTTPS(options_.listeners.delivery)) {
    const envoy::HostLookup lookup = https_hosts_.Lookup();
    all = std::exchange(wildcard_chains_changed_, false) || lookup != https_lookup_;
    https_lookup_ = lookup;
  }
  if (all) {
    for (auto& [name, state] : hosts_) UpdateTLSOf(state, name, editor);
  } else {
    for (const std::string& name : hosts) UpdateTLSOf(hosts_.find(name)->second, name, editor);
  }
  for (const std::string& name : hosts) {
    const auto state = hosts_.find(name);
    if (state != hosts_.end() && state->second.virtual_host == nullptr) hosts_.erase(state);
  }
}

void Pipeline::UpdateTLSOf(HostState& state, const std::string& host, xds::SnapshotEditor& editor) {
  const graph::VirtualHost* virtual_host = state.virtual_host.get();
  graph::ServingSecretPtr secret;
  if (virtual_host != nullptr && virtual_host->secure) secret = virtual_host->secure->secret;

  const bool shared = envoy::ShardsHTTPS(options_.listeners.delivery) && virtual_host != nullptr &&
                      envoy::ShareFilterChain(*virtual_host, options_.listeners) &&
                      !IsBelowWildcard(host);
  std::optional<envoy::Resource> chain;
  if (virtual_host != nullptr && !shared)
    chain = envoy::TranslateFilterChain(*virtual_host, options_.listeners, https_lookup_);

  if (state.filter_chain && !state.secret.empty() && --chain_secrets_[state.secret] == 0)
    chain_secrets_.erase(state.secret);
  const std::string name = secret == nullptr ? "" : envoy::SecretName(*secret);
  if (!state.secret.empty() && state.secret != name) secrets_.Remove(state.secret, host);
  if (secret != nullptr) secrets_.Set(name, host, secret);
  if (chain && secret != nullptr) ++chain_secrets_[name];
  state.secret = name;

  filter_chains_ += static_cast<std::size_t>(chain.has_value());
  filter_chains_ -= static_cast<std::size_t>(state.filter_chain);
  const bool had_chain = std::exchange(state.filter_chain, chain.has_value());
  if (chain) {
    editor.SetPart(ResourceType::kListener, envoy::kIngressHTTPS, ToPart(std::move(*chain)));
  } else if (had_chain) {
    editor.RemovePart(ResourceType::kListener, envoy::kIngressHTTPS, host);
  }

  shared_hosts_ += static_cast<std::size_t>(shared);
  shared_hosts_ -= static_cast<std::size_t>(state.shared_chain);
  const bool was_shared = std::exchange(state.shared_chain, shared);
  if (shared) {
    certificate_shards_.Add(host);
    editor.Set(ResourceType::kSecret,
               ToResource(envoy::TranslateSecret(*secret, envoy::OnDemandSecretName(host))));
  } else if (was_shared) {
    certificate_shards_.Remove(host);
    editor.Remove(ResourceType::kSecret, envoy::OnDemandSecretName(host));
  }
}

// Whether a wildcard host's filter chain takes the server name `host`, were there none for it.
bool Pipeline::IsBelowWildcard(const std::string& host) const {
  if (wildcard_chains_.empty()) return false;
  for (std::size_t dot = host.find('.'); dot != std::string::npos; dot = host.find('.', dot + 1)) {
    if (wildcard_chains_.contains("*" + host.substr(dot))) return true;
  }
  return false;
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
  for (const auto& [name, cluster] : ClustersOf(state.virtual_host)) {
    add(ResourceType::kCluster, name);
    if (std::string assignment = AssignmentOf(*snapshot_, name); !assignment.empty())
      assignments.insert(std::move(assignment));
  }
  for (const std::string& assignment : assignments) add(ResourceType::kEndpoints, assignment);
  if (state.filter_chain) add(ResourceType::kListener, envoy::kIngressHTTPS, host);
  if (state.shared_chain) {
    add(ResourceType::kListener, envoy::kIngressHTTPS, envoy::kSharedFilterChain);
    add(ResourceType::kListener, certificate_shards_.ListenerOf(host));
  }
  for (const std::string_view table : {envoy::kIngressHTTP, envoy::kIngressHTTPS})
    add(ResourceType::kRoutes, table, envoy::VirtualHostName(host));
  add(ResourceType::kScopedRoutes, envoy::VirtualHostName(host));
  add(ResourceType::kScopedRoutes, envoy::HTTPSScopeName(host));
  if (state.filter_chain && !state.secret.empty()) add(ResourceType::kSecret, state.secret);
  if (state.shared_chain) add(ResourceType::kSecret, envoy::OnDemandSecretName(host));
  return view;
}

ObjectView Pipeline::DescribeObject(const api::ObjectRef& ref, std::size_t most_hosts) const {
  ObjectView view{engine_.DescribeObject(ref), {}};
  if (const std::optional<graph::ServiceKey> service = endpoints_.FindService(ref)) {
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
        return ClustersOf(state.virtual_host).contains(item.resource);
      case ResourceType::kEndpoints: {
        const auto clusters = ClustersOf(state.virtual_host);
        return std::any_of(clusters.begin(), clusters.end(), [&](const auto& cluster) {
          return AssignmentOf(*snapshot_, cluster.first) == item.resource;
        });
      }
      case ResourceType::kListener:
        return (state.filter_chain && item.part == host) ||
               (state.shared_chain && !item.part.has_value() &&
                item.resource == certificate_shards_.ListenerOf(host));
      case ResourceType::kRoutes:
        return item.part == envoy::VirtualHostName(host);
      case ResourceType::kScopedRoutes:
        return item.resource == envoy::VirtualHostName(host) ||
               item.resource == envoy::HTTPSScopeName(host);
      case ResourceType::kSecret:
        return state.shared_chain ? envoy::OnDemandSecretName(host) == item.resource
                                  : state.secret == item.resource;
    }
    return false;
  };
  if (item.type == ResourceType::kSecret) {
    if (const graph::ServingSecretPtr* secret = secrets_.Find(item.resource); secret != nullptr)
      add({api::Kind::kSecret, (*secret)->ns, (*secret)->name});
    if (const auto host = hosts_.find(item.resource);
        host != hosts_.end() && host->second.shared_chain) {
      const graph::ServingSecret& of_host = *host->second.virtual_host->secure->secret;
      add({api::Kind::kSecret, of_host.ns, of_host.name});
    }
  }
  for (const auto& [host, state] : hosts_) {
    if (sources.size() >= most) break;
    if (!uses(host, state)) continue;
    for (const api::ObjectRef& root : engine_.DescribeHost(host).roots) add(root);
  }
  return sources;
}

void Pipeline::RoutedHosts::Count(const std::string& host, bool before, bool now) {
  if (before == now) return;
  hosts_ = now ? hosts_ + 1 : hosts_ - 1;
  if (host == "*") any_host_ = now;
  if (envoy::IsWildcardHost(host)) wildcards_ = now ? wildcards_ + 1 : wildcards_ - 1;
}

envoy::HostLookup Pipeline::RoutedHosts::Lookup() const {
  return {.wildcards = wildcards_ > 0, .any_host = any_host_};
}

void Pipeline::UpdateClusters(xds::SnapshotEditor& editor) {
  for (const std::string& name : clusters_.TakeDirty()) {
    const graph::ClusterPtr* cluster = clusters_.Find(name);
    const xds::ResourcePtr before = editor.Find(ResourceType::kCluster, name);
    if (cluster == nullptr) {
      if (before != nullptr) assignments_.Remove(before->assignment, name);
      editor.Remove(ResourceType::kCluster, name);
      continue;
    }
    envoy::ClusterResource translated =
        envoy::TranslateCluster(**cluster, options_.listeners.config_source);
    xds::Resource resource = ToResource(std::move(translated.resource));
    resource.warm_by = translated.warm_by == envoy::WarmBy::kAssignment
                           ? xds::WarmBy::kAssignment
                           : xds::WarmBy::kAcknowledgement;
    resource.assignment = translated.assignment.value_or("");
    if (before != nullptr && before->assignment != resource.assignment)
      assignments_.Remove(before->assignment, name);
    if (!resource.assignment.empty()) assignments_.Set(resource.assignment, name, *cluster);
    editor.Set(ResourceType::kCluster, std::move(resource));
  }
}

void Pipeline::UpdateSecrets(xds::SnapshotEditor& editor, Output& output) {
  for (const std::string& name : secrets_.TakeDirty()) {
    const graph::ServingSecretPtr* secret = secrets_.Find(name);
    output.secrets.emplace_back(name, secret == nullptr ? nullptr : *secret);
    // In the shape where a host has a secret of its own name, only filter chains ask for this one.
    const bool needed =
        !envoy::ShardsHTTPS(options_.listeners.delivery) || chain_secrets_.contains(name);
    if (secret != nullptr && needed) {
      editor.Set(ResourceType::kSecret, ToResource(envoy::TranslateSecret(**secret, name)));
    } else {
      editor.Remove(ResourceType::kSecret, name);
    }
  }
}

void Pipeline::UpdateAssignments(const std::set<graph::ServiceKey>& touched,
                                 xds::SnapshotEditor& editor) {
  std::set<std::string> dirty = assignments_.TakeDirty();
  for (const graph::ServiceKey& service : touched) {
    // Of the port without name, and of the others.
    const std::string name = envoy::ServiceName(service.ns, service.name, "");
    if (assignments_.Find(name) != nullptr) dirty.insert(name);
    assignments_.InsertNames(name + "/", dirty);
  }
  for (const std::string& name : dirty) {
    const graph::ClusterPtr* user = assignments_.Find(name);
    if (user == nullptr) {
      editor.Remove(ResourceType::kEndpoints, name);
      continue;
    }
    const graph::Assignment assignment =
        endpoints_.Build({(*user)->ns, (*user)->service}, (*user)->port_name);
    xds::Resource resource = ToResource(envoy::TranslateAssignment(assignment));
    resource.without_endpoints = assignment.addresses.empty();
    editor.Set(ResourceType::kEndpoints, std::move(resource));
  }
}

void Pipeline::UpdateListeners(xds::SnapshotEditor& editor) {
  if (http_hosts_.size() > 0) {
    if (const envoy::HostLookup lookup = http_hosts_.Lookup();
        !http_listener_ || http_listener_->first != lookup) {
      envoy::Resource listener = envoy::HTTPListener(options_.listeners, lookup);
      http_listener_.emplace(lookup, std::move(listener));
    }
    editor.Set(ResourceType::kListener, ToResource(http_listener_->second));
  } else {
    editor.Remove(ResourceType::kListener, envoy::kIngressHTTP);
  }
  if (filter_chains_ + shared_hosts_ > 0) {
    if (!https_listener_) https_listener_ = envoy::HTTPSListenerHead(options_.listeners);
    SetHead(*https_listener_, ResourceType::kListener, editor);
  } else {
    editor.Remove(ResourceType::kListener, envoy::kIngressHTTPS);
  }
  if (shared_hosts_ > 0) {
    if (!shared_chain_ || shared_chain_->first != https_lookup_) {
      shared_chain_.emplace(https_lookup_,
                            envoy::SharedFilterChain(options_.listeners, https_lookup_));
    }
    editor.SetPart(ResourceType::kListener, envoy::kIngressHTTPS, ToPart(shared_chain_->second));
  } else {
    editor.RemovePart(ResourceType::kListener, envoy::kIngressHTTPS, envoy::kSharedFilterChain);
  }
  for (const auto& [name, hosts] : certificate_shards_.TakeChanges()) {
    if (hosts.empty()) {
      editor.Remove(ResourceType::kListener, name);
    } else {
      editor.Set(ResourceType::kListener,
                 ToResource(envoy::CertificatesListener(name, hosts, options_.listeners)));
    }
  }
}

}  // namespace contour::core
