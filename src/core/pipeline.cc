// SPDX-License-Identifier: Apache-2.0

#include "core/pipeline.h"

#include <algorithm>

#include "envoy/cluster.h"
#include "envoy/endpoints.h"
#include "envoy/names.h"
#include "envoy/route.h"
#include "envoy/secret.h"
#include "graph/kinds/kinds.h"
#include "graph/model/certificate.h"
#include "graph/model/cluster.h"
#include "graph/model/host.h"
#include "graph/model/route.h"
#include "graph/policy/secret.h"

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

template <typename Changes>
void NoteContested(ResourceType type, const Changes& changes, Pipeline::Output& output) {
  for (const std::string& name : changes.contested)
    output.conflicts.push_back({.type = type, .name = name, .closed = false, .begins = true});
  for (const std::string& name : changes.uncontested)
    output.conflicts.push_back({.type = type, .name = name, .closed = false, .begins = false});
}

template <typename Changes>
void NoteClosed(ResourceType type, const Changes& changes, Pipeline::Output& output) {
  for (const auto& [name, change] : changes.names) {
    if (change.closed != change.was_closed)
      output.conflicts.push_back(
          {.type = type, .name = name, .closed = true, .begins = change.closed});
  }
}

// Returns the port whose endpoints the cluster takes; nullopt: it takes none, or there is no
// cluster.
std::optional<graph::AssignmentKey> AssignmentKeyOf(
    const std::optional<graph::ClusterPtr>& cluster) {
  if (!cluster || !(*cluster)->external_name.empty()) return std::nullopt;
  return graph::AssignmentKey{(*cluster)->ns, (*cluster)->service, (*cluster)->port_name};
}

// Notes the names that only one of the two maps has.
template <typename Map>
void NoteDifference(const Map& before, const Map& now, std::set<std::string>& names) {
  for (const auto& [name, object] : before) {
    if (!now.contains(name)) names.insert(name);
  }
  for (const auto& [name, object] : now) {
    if (!before.contains(name)) names.insert(name);
  }
}

template <typename Changes>
void UpdateContested(const Changes& changes, std::set<std::string, std::less<>>& contested) {
  contested.insert(changes.contested.begin(), changes.contested.end());
  for (const std::string& name : changes.uncontested) contested.erase(name);
}

}  // namespace

Pipeline::Pipeline(Options options)
    : options_(std::move(options)),
      engine_(options_.graph, graph::Kinds()),
      clusters_([](const graph::ClusterPtr& cluster) { return envoy::ClusterName(*cluster); },
                [digits = options_.hash_digits](const graph::ClusterPtr& cluster) {
                  return envoy::FullClusterName(*cluster, digits);
                }),
      secrets_(
          [digits = options_.hash_digits](const graph::ServingSecretPtr& secret) {
            return envoy::SecretName(*secret, digits);
          },
          [digits = options_.hash_digits](const graph::ServingSecretPtr& secret) {
            return envoy::FullSecretName(*secret, digits);
          }),
      assignments_([digits = options_.hash_digits](
                       const graph::AssignmentKey& key) { return envoy::ServiceName(key, digits); },
                   [digits = options_.hash_digits](const graph::AssignmentKey& key) {
                     return envoy::ServiceName(key, digits);
                   }),
      hashed_hosts_([digits = options_.hash_digits](
                        const std::string& host) { return envoy::VirtualHostName(host, digits); },
                    [digits = options_.hash_digits](const std::string& host) {
                      return envoy::VirtualHostName(host, digits);
                    }) {
  names_.hash_digits = options_.hash_digits;
}

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
  // All contents that hosts use must be known before any gets a name.
  for (const std::string& host : update.hosts) UpdateHost(host);
  ClusterIndex::Changes clusters = clusters_.TakeChanges();
  const SecretIndex::Changes secrets = secrets_.TakeChanges();
  const HostIndex::Changes host_names = hashed_hosts_.TakeChanges();
  UpdateContested(clusters, names_.contested_clusters);
  UpdateContested(secrets, names_.contested_secrets);
  Hosts hosts(update.hosts.begin(), update.hosts.end());
  AddRenamed(clusters, secrets, host_names, hosts);

  Output output;
  NoteContested(ResourceType::kCluster, clusters, output);
  NoteContested(ResourceType::kSecret, secrets, output);
  NoteClosed(ResourceType::kCluster, clusters, output);
  NoteClosed(ResourceType::kSecret, secrets, output);
  NoteClosed(ResourceType::kRoutes, host_names, output);
  for (const std::string& host : hosts) UpdateRoutes(host, editor);
  UpdateTLS(hosts, editor);
  UpdateClusters(std::move(clusters), editor);
  UpdateSecrets(secrets, changes, editor, output);
  UpdateAssignments(touched, editor, output);
  UpdateListeners(editor);
  snapshot_ = editor.Commit();
  output.snapshot = snapshot_;
  output.statuses = std::move(update.statuses);
  output.problems = std::move(update.problems);
  output.ingresses = ingresses_.Apply(changes, engine_, options_.graph);
  output.names = CountNames();
  return output;
}

void Pipeline::Follow(const xds::StandInNeeds& needs) {
  const auto assignments = std::exchange(followed_assignments_, {});
  for (const std::string& name : needs.assignments) {
    if (const auto key = envoy::ParseServiceName(name)) followed_assignments_.emplace(name, *key);
  }
  NoteDifference(assignments, followed_assignments_, refollowed_.assignments);
  const auto secrets = std::exchange(followed_secrets_, {});
  for (const std::string& name : needs.secrets) {
    if (const auto secret = envoy::ParseSecretName(name)) followed_secrets_.emplace(name, *secret);
  }
  NoteDifference(secrets, followed_secrets_, refollowed_.secrets);
}

void Pipeline::UpdateHost(const std::string& host) {
  ServedHost& state = hosts_[host];
  const graph::VirtualHostPtr before =
      std::exchange(state.virtual_host, engine_.FindVirtualHost(host));
  const graph::VirtualHostPtr& now = state.virtual_host;

  const graph::ClusterSet used = ClustersOf(before);
  const graph::ClusterSet uses = ClustersOf(now);
  for (const graph::ClusterPtr& cluster : uses) {
    if (!used.contains(cluster)) clusters_.Add(cluster);
  }
  for (const graph::ClusterPtr& cluster : used) {
    if (!uses.contains(cluster)) clusters_.Remove(cluster);
  }
  if (now != nullptr) {
    for (const graph::ListenerHost& served : now->listeners) {
      if (served.secret != nullptr) secrets_.Add(served.secret);
    }
  }
  if (before != nullptr) {
    for (const graph::ListenerHost& served : before->listeners) {
      if (served.secret != nullptr) secrets_.Remove(served.secret);
    }
  }
  if (!envoy::HashesHost(host) || (before == nullptr) == (now == nullptr)) return;
  if (now != nullptr) {
    hashed_hosts_.Add(host);
  } else {
    hashed_hosts_.Remove(host);
  }
}

void Pipeline::AddRenamed(const ClusterIndex::Changes& clusters,
                          const SecretIndex::Changes& secrets, const HostIndex::Changes& host_names,
                          Hosts& hosts) const {
  // A host that uses a cluster or a secret has read its object.
  const auto add_readers = [&](const api::ObjectRef& ref) {
    for (const std::string& host : engine_.DescribeObject(ref).hosts) {
      if (hosts_.contains(host)) hosts.insert(host);
    }
  };
  for (const graph::ClusterPtr& cluster : clusters.renamed)
    add_readers({api::Kind::kService, cluster->ns, cluster->service});
  for (const graph::ServingSecretPtr& secret : secrets.renamed)
    add_readers({api::Kind::kSecret, secret->ns, secret->name});
  hosts.insert(host_names.renamed.begin(), host_names.renamed.end());
}

Pipeline::NameCounts Pipeline::CountNames() const {
  NameCounts counts;
  counts.contested[xds::Index(ResourceType::kCluster)] = clusters_.contested().size();
  counts.contested[xds::Index(ResourceType::kSecret)] = secrets_.contested().size();
  counts.closed[xds::Index(ResourceType::kCluster)] = clusters_.closed().size();
  counts.closed[xds::Index(ResourceType::kSecret)] = secrets_.closed().size();
  counts.closed[xds::Index(ResourceType::kEndpoints)] = assignments_.closed().size();
  counts.closed[xds::Index(ResourceType::kRoutes)] = hashed_hosts_.closed().size();
  return counts;
}

void Pipeline::UpdateRoutes(const std::string& host, xds::SnapshotEditor& editor) {
  ServedHost& state = hosts_[host];
  envoy::VirtualHostResources routes;
  if (state.virtual_host != nullptr)
    routes = envoy::TranslateVirtualHost(*state.virtual_host, options_.listeners, names_);
  http_hosts_.Count(host, state.http_routes, routes.http.has_value());
  https_hosts_.Count(host, state.https_routes, routes.https.has_value());
  state.http_routes = routes.http.has_value();
  state.https_routes = routes.https.has_value();
  SetRoutes(host, false, std::move(routes.http), editor);
  SetRoutes(host, true, std::move(routes.https), editor);

  if (!envoy::ShardsHTTPS(options_.listeners.delivery) || !envoy::IsWildcardHost(host)) return;
  const bool chain = state.virtual_host != nullptr && envoy::HasFilterChain(*state.virtual_host);
  const bool changed =
      chain ? wildcard_chains_.insert(host).second : wildcard_chains_.erase(host) > 0;
  wildcard_chains_changed_ = wildcard_chains_changed_ || changed;
}

void Pipeline::SetRoutes(const std::string& host, bool https, std::optional<envoy::Resource> routes,
                         xds::SnapshotEditor& editor) {
  const std::string name = envoy::VirtualHostName(host, names_.hash_digits);
  if (envoy::HashesHost(host)) {
    // If two hosts have one name, neither is served. A host that has gone leaves the name alone.
    const std::optional<std::string> owner = hashed_hosts_.ContentOf(name);
    if (owner && *owner != host) return;
    if (!owner) routes.reset();
  }
  const envoy::Delivery delivery = options_.listeners.delivery;
  if (https ? envoy::ShardsHTTPS(delivery) : envoy::ShardsHTTP(delivery)) {
    if (routes) {
      editor.Set(ResourceType::kScopedRoutes, ToResource(std::move(*routes)));
    } else {
      editor.Remove(ResourceType::kScopedRoutes,
                    https ? envoy::HTTPSScopeName(host, names_.hash_digits) : name);
    }
    return;
  }
  const std::string_view configuration = https ? envoy::kIngressHTTPS : envoy::kIngressHTTP;
  if (routes) {
    editor.SetPart(ResourceType::kRoutes, configuration, ToPart(std::move(*routes)));
  } else {
    editor.RemovePart(ResourceType::kRoutes, configuration, name);
  }
}

// Updates filter chains and certificates of `hosts`, and of hosts whose chains depend on theirs.
void Pipeline::UpdateTLS(const Hosts& hosts, xds::SnapshotEditor& editor) {
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

void Pipeline::UpdateTLSOf(ServedHost& state, const std::string& host,
                           xds::SnapshotEditor& editor) {
  const graph::VirtualHost* virtual_host = state.virtual_host.get();
  const graph::ServingSecretPtr secret = SecretOf(state.virtual_host);
  const bool shared = envoy::ShardsHTTPS(options_.listeners.delivery) && virtual_host != nullptr &&
                      envoy::ShareFilterChain(*virtual_host, options_.listeners) &&
                      !IsBelowWildcard(host);
  std::optional<envoy::Resource> chain;
  if (virtual_host != nullptr && !shared)
    chain = envoy::TranslateFilterChain(*virtual_host, options_.listeners, https_lookup_, names_);
  UpdateChainSecret(state, chain ? secret : nullptr);

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

// Counts the filter chains that name a secret; nullptr: the host's chain names none.
void Pipeline::UpdateChainSecret(ServedHost& state, graph::ServingSecretPtr secret) {
  if (secret != nullptr && ++chain_secrets_[secret] == 1) dirty_secrets_.insert(secret);
  const graph::ServingSecretPtr before = std::exchange(state.chain_secret, std::move(secret));
  if (before == nullptr) return;
  const auto count = chain_secrets_.find(before);
  if (--count->second > 0) return;
  dirty_secrets_.insert(before);
  chain_secrets_.erase(count);
}

// True if a wildcard host's filter chain would take the server name `host` without a chain for it.
bool Pipeline::IsBelowWildcard(const std::string& host) const {
  if (wildcard_chains_.empty()) return false;
  for (std::size_t dot = host.find('.'); dot != std::string::npos; dot = host.find('.', dot + 1)) {
    if (wildcard_chains_.contains("*" + host.substr(dot))) return true;
  }
  return false;
}

Provenance Pipeline::provenance() const {
  return Provenance({.engine = engine_,
                     .hosts = hosts_,
                     .clusters = clusters_,
                     .secrets = secrets_,
                     .assignments = assignments_,
                     .hashed_hosts = hashed_hosts_,
                     .certificate_shards = certificate_shards_,
                     .names = names_,
                     .snapshot = snapshot_.get()});
}

HostView Pipeline::DescribeHost(const std::string& host) const {
  HostView view{engine_.DescribeHost(host), {}};
  if (snapshot_ == nullptr) return view;
  for (const xds::ResourceKey& item : provenance().ResourcesOf(host)) {
    const xds::ResourcePtr resource = snapshot_->Find(item.type, item.resource);
    if (resource == nullptr) continue;
    if (!item.part.has_value()) {
      view.resources.push_back({item.type, resource->name, "", resource->version.Hex()});
    } else if (const xds::PartPtr part = resource->parts.Find(*item.part); part != nullptr) {
      view.resources.push_back({item.type, resource->name, part->name, part->version.Hex()});
    }
  }
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

void Pipeline::RoutedHosts::Count(const std::string& host, bool before, bool now) {
  if (before == now) return;
  hosts_ = now ? hosts_ + 1 : hosts_ - 1;
  if (host == "*") any_host_ = now;
  if (envoy::IsWildcardHost(host)) wildcards_ = now ? wildcards_ + 1 : wildcards_ - 1;
}

envoy::HostLookup Pipeline::RoutedHosts::Lookup() const {
  return {.wildcards = wildcards_ > 0, .any_host = any_host_};
}

void Pipeline::UpdateClusters(ClusterIndex::Changes changes, xds::SnapshotEditor& editor) {
  while (!changes.names.empty()) {  // freed as it is read: the first build has all that there is
    const auto node = changes.names.extract(changes.names.begin());
    const std::string& name = node.key();
    const ClusterIndex::Change& change = node.mapped();
    if (auto assignment = AssignmentKeyOf(change.now)) assignments_.Add(*assignment);
    if (auto assignment = AssignmentKeyOf(change.before)) assignments_.Remove(*assignment);
    if (!change.now && !change.closed) {
      editor.Remove(ResourceType::kCluster, name);
      continue;
    }
    envoy::ClusterResource translated =
        change.now ? envoy::TranslateCluster(**change.now, name, options_.listeners.config_source,
                                             options_.hash_digits)
                   : envoy::ClosedCluster(name);
    xds::Resource resource = ToResource(std::move(translated.resource));
    resource.warm_by =
        translated.warm_by_assignment ? xds::WarmBy::kAssignment : xds::WarmBy::kAcknowledgement;
    resource.warm_time = translated.warm_time;
    resource.assignment = translated.assignment.value_or("");
    editor.Set(ResourceType::kCluster, std::move(resource));
  }
}

void Pipeline::UpdateSecrets(const SecretIndex::Changes& changes,
                             const std::vector<api::Change>& objects, xds::SnapshotEditor& editor,
                             Output& output) {
  for (const auto& [name, change] : changes.names) {
    output.secrets.emplace_back(name, change.now.value_or(nullptr));
    UpdateSecret(name, change.now, editor);
  }
  for (const graph::ServingSecretPtr& secret : std::exchange(dirty_secrets_, {})) {
    const std::string name = names_.Secret(*secret);
    UpdateSecret(name, secrets_.ContentOf(name), editor);
  }
  std::set<std::string> followed = std::exchange(refollowed_.secrets, {});
  for (const auto& [name, object] : followed_secrets_) {
    const api::ObjectRef ref{api::Kind::kSecret, object.first, object.second};
    if (std::any_of(objects.begin(), objects.end(),
                    [&](const api::Change& change) { return change.ref == ref; }))
      followed.insert(name);
  }
  for (const std::string& name : followed) UpdateSecret(name, secrets_.ContentOf(name), editor);
}

graph::ServingSecretPtr Pipeline::FindFollowed(const std::string& secret) {
  const auto object = followed_secrets_.find(secret);
  if (object == followed_secrets_.end() || secrets_.closed().contains(secret) ||
      names_.contested_secrets.contains(secret))
    return nullptr;
  const auto* found =
      engine_.FindChecked<graph::CheckedSecret>(object->second.first, object->second.second);
  return found != nullptr && found->serving.ok() ? *found->serving : nullptr;
}

// Where HTTPS is sharded and a host has a secret with its own name, only filter chains ask for
// other secrets. If two secrets have one name (nullopt), neither is served.
void Pipeline::UpdateSecret(const std::string& name,
                            const std::optional<graph::ServingSecretPtr>& secret,
                            xds::SnapshotEditor& editor) {
  const bool sharded = envoy::ShardsHTTPS(options_.listeners.delivery);
  if (secret && (!sharded || chain_secrets_.contains(*secret))) {
    editor.Set(ResourceType::kSecret, ToResource(envoy::TranslateSecret(**secret, name)));
  } else if (const graph::ServingSecretPtr found = FindFollowed(name); found != nullptr) {
    editor.Set(ResourceType::kSecret, ToResource(envoy::TranslateSecret(*found, name)));
  } else if (!followed_secrets_.contains(name)) {
    editor.Remove(ResourceType::kSecret, name);
  }
}

void Pipeline::UpdateAssignments(const std::set<graph::ServiceKey>& touched,
                                 xds::SnapshotEditor& editor, Output& output) {
  const AssignmentIndex::Changes changes = assignments_.TakeChanges();
  NoteClosed(ResourceType::kEndpoints, changes, output);
  std::set<std::string> dirty = std::exchange(refollowed_.assignments, {});
  for (const auto& [name, change] : changes.names) dirty.insert(name);
  for (const auto& [name, key] : followed_assignments_) {
    if (touched.contains({key.ns, key.service})) dirty.insert(name);
  }
  for (const graph::ServiceKey& service : touched) {
    // These are the name of the port without name, and the names of the others.
    const std::string name = envoy::ServiceNamePrefix(service.ns, service.name);
    if (assignments_.ContentOf(name)) dirty.insert(name);
    assignments_.InsertNames(name + "/", dirty);
  }
  for (const std::string& name : dirty) {
    std::optional<graph::AssignmentKey> key = assignments_.ContentOf(name);
    if (const auto followed = followed_assignments_.find(name);
        !key && followed != followed_assignments_.end() && !assignments_.closed().contains(name))
      key = followed->second;
    if (!key && !assignments_.closed().contains(name)) {
      editor.Remove(ResourceType::kEndpoints, name);
      continue;
    }
    // A name that two ports have belongs to neither, and its assignment is empty.
    const graph::Assignment assignment =
        key ? endpoints_.Build({key->ns, key->service}, key->port_name) : graph::Assignment{};
    xds::Resource resource =
        key ? ToResource(envoy::TranslateAssignment(assignment, names_)) : *xds::MakeBlank(name);
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
