// SPDX-License-Identifier: Apache-2.0
// Random histories of snapshots against a model of an Envoy: it subscribes, warms clusters,
// withholds and mixes up acknowledgements, rejects bad content, loses its connection. Checked on
// the way: a route or chain is sent only with warm clusters, a cluster is withdrawn only when
// nothing in effect uses it, an assignment only when no cluster does. Checked at the end: the Envoy
// has exactly what the snapshot says, and nothing was released by time.

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/strings.h"
#include "xds/session/session.h"

namespace contour::xds {
namespace {

using namespace std::chrono_literals;

constexpr auto kCDS = ResourceType::kCluster;
constexpr auto kEDS = ResourceType::kEndpoints;
constexpr auto kLDS = ResourceType::kListener;
constexpr auto kRDS = ResourceType::kRoutes;
constexpr auto kSDS = ResourceType::kSecret;
constexpr auto kSRDS = ResourceType::kScopedRoutes;

constexpr std::chrono::seconds kWarmTime{2};
constexpr std::chrono::seconds kFetchTimeout{15};  // Envoy's for the endpoints of a cluster

struct Setting {
  const char* name;
  bool aggregated;
  Protocol protocol;
  bool rejects = false;
  bool reconnects = false;  // to a server that remembers
  bool restarts = false;    // to a server that doesn't
  bool file = false;        // but has read what was served last
};

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  unsigned Below(unsigned count) { return static_cast<unsigned>(engine_() % count); }
  bool OneIn(unsigned count) { return Below(count) == 0; }

 private:
  std::mt19937 engine_;
};

// ---- The world: what the snapshots say ----

// Content "!" is rejected by the Envoy.
class World {
 public:
  // One scope is always there: what becomes of the last is another matter (a change of the delivery
  // mode). With `renames` clusters change their assignment, as those of a Service whose port gets
  // another name.
  World(Random& random, bool bad, bool renames) : random_(random), bad_(bad), renames_(renames) {
    scopes_.try_emplace("g0", Users{"first", {}});
  }

  void Edit() {
    const unsigned edits = 1 + random_.Below(4);
    for (unsigned i = 0; i < edits; ++i) EditOne();
  }

  // Makes everything anew and good: also what the Envoy didn't ack before is different now.
  void Refresh() {
    bad_ = false;
    fresh_ = true;
    for (auto& [name, cluster] : clusters_) cluster.content = Content();
    for (auto& [name, content] : assignments_) content = Content();
    for (auto& [name, content] : secrets_) content = Content();
    for (auto& [name, routes] : routes_) {
      routes.content = Content();
      for (auto& [host, users] : routes.parts) users.content = Content();
    }
    for (auto& [name, users] : scopes_) users.content = Content();
    for (auto& [name, listener] : listeners_) {
      listener.content = Content();
      for (auto& [chain, users] : listener.parts) users.content = Content();
    }
  }

  SnapshotPtr Commit() {
    SnapshotEditor editor(nullptr);
    for (const auto& [name, cluster] : clusters_) {
      Resource resource{.name = name, .bytes = cluster.content + "|" + cluster.assignment};
      resource.assignment = cluster.assignment;
      resource.warm_by = cluster.warm_by;
      resource.warm_time = kWarmTime;
      editor.Set(kCDS, std::move(resource));
      if (!cluster.assignment.empty() && !assignments_.contains(cluster.assignment)) {
        emptied.insert(cluster.assignment);
      }
    }
    for (const auto& [name, content] : assignments_)
      editor.Set(kEDS, {.name = name, .bytes = content});
    for (const auto& [name, content] : secrets_) editor.Set(kSDS, {.name = name, .bytes = content});
    const auto composite = [&](ResourceType type, const std::string& name, const Composite& value) {
      editor.SetHead(type, name, value.content);
      for (const auto& [part, users] : value.parts) editor.SetPart(type, name, Made(part, users));
    };
    for (const auto& [name, users] : scopes_) {
      const Part made = Made(name, users);
      editor.Set(kSRDS, {.name = name, .bytes = made.bytes, .clusters = made.clusters});
    }
    for (const auto& [name, routes] : routes_) composite(kRDS, name, routes);
    for (const auto& [name, listener] : listeners_) composite(kLDS, name, listener);
    return editor.Commit();
  }

  std::set<std::string> emptied;  // assignments that were ever missing while a cluster used them

 private:
  struct Cluster {
    std::string content;
    std::string assignment;  // empty: DNS
    WarmBy warm_by = WarmBy::kAcknowledgement;
  };
  struct Users {
    std::string content;
    std::set<std::string> clusters;
  };
  struct Composite {
    std::string content;
    std::map<std::string, Users> parts;
  };

  static Part Made(const std::string& name, const Users& users) {
    std::string bytes = users.content + ">";
    for (const std::string& cluster : users.clusters) bytes += cluster + ",";
    return {
        .name = name, .bytes = bytes, .clusters = {users.clusters.begin(), users.clusters.end()}};
  }

  std::string Content() {
    if (fresh_) return "fresh" + std::to_string(++contents_);
    // Few contents, so that some come back.
    return (bad_ && random_.OneIn(12) ? "!" : "") + std::to_string(random_.Below(6));
  }
  std::string Name(const char* kind, unsigned count) {
    return kind + std::to_string(random_.Below(count));
  }

  void SetCluster(const std::string& name) {
    Cluster& cluster = clusters_[name];
    cluster.content = Content();
    // The kind follows from the name, as in real life.
    const unsigned number = static_cast<unsigned>(name.back() - '0');
    if (number < 6) {
      cluster.assignment =
          "e" + std::to_string((number + (renames_ && random_.OneIn(4) ? 1 : 0)) % 4);
      cluster.warm_by = number == 5 ? WarmBy::kAcknowledgement : WarmBy::kAssignment;
    }
  }

  Users SomeUsers() {
    Users users{Content(), {}};
    for (unsigned i = random_.Below(3); i > 0; --i) {
      const std::string cluster = Name("c", 8);
      if (!clusters_.contains(cluster)) SetCluster(cluster);
      if (clusters_[cluster].assignment.starts_with("e") && random_.OneIn(2)) {
        assignments_.try_emplace(clusters_[cluster].assignment, Content());
      }
      users.clusters.insert(cluster);
    }
    return users;
  }

  std::vector<Users*> AllUsers() {
    std::vector<Users*> all;
    for (auto* composites : {&routes_, &listeners_}) {
      for (auto& [name, composite] : *composites) {
        for (auto& [part, users] : composite.parts) all.push_back(&users);
      }
    }
    for (auto& [name, users] : scopes_) all.push_back(&users);
    return all;
  }

  // A graph never names what it doesn't have.
  void Drop(const std::string& cluster) {
    clusters_.erase(cluster);
    for (Users* users : AllUsers()) {
      if (users->clusters.erase(cluster) == 0) continue;
      users->content = Content();
      if (random_.OneIn(2)) users->clusters.merge(SomeUsers().clusters);
      users->clusters.erase(cluster);
    }
    if (clusters_.contains(cluster)) clusters_.erase(cluster);
  }

  void EditOne() {
    switch (random_.Below(15)) {
      case 12:
      case 13:
        scopes_[Name("g", 4)] = SomeUsers();
        Collect();
        break;
      case 14:
        scopes_.erase("g" + std::to_string(1 + random_.Below(3)));
        Collect();
        break;
      case 0:
      case 1:
        SetCluster(Name("c", 8));
        if (renames_ && random_.OneIn(2)) Collect();
        break;
      case 2: {
        const std::string cluster = Name("c", 8);
        Drop(cluster);
        if (random_.OneIn(2)) Collect();
        break;
      }
      case 3:
      case 4:
        assignments_[Name("e", 4)] = Content();
        break;
      case 5:
        if (random_.OneIn(3)) assignments_.erase(Name("e", 4));
        break;
      case 6:
      case 7:
      case 8: {
        const std::string name = Name("r", 2);
        Composite& routes = routes_[name];
        if (routes.content.empty()) routes.content = Content();
        routes.parts[Name("h", 4)] = SomeUsers();
        Collect();
        break;
      }
      case 9: {
        const std::string name = Name("r", 2);
        if (const auto at = routes_.find(name); at != routes_.end())
          at->second.parts.erase(Name("h", 4));
        Collect();
        break;
      }
      case 10: {
        const std::string name = Name("l", 2);
        if (random_.OneIn(6)) {
          listeners_.erase(name);
          break;
        }
        Composite& listener = listeners_[name];
        listener.content = Content();
        // What a listener refers to exists.
        routes_.try_emplace("r" + name.substr(1), Composite{Content(), {}});
        secrets_.try_emplace("s" + name.substr(1), Content());
        if (random_.OneIn(2)) listener.parts["t" + std::to_string(random_.Below(2))] = SomeUsers();
        if (random_.OneIn(3)) listener.parts.erase("t" + std::to_string(random_.Below(2)));
        break;
      }
      case 11:
        if (random_.OneIn(2)) {
          secrets_[Name("s", 2)] = Content();
        } else {
          const std::string number = std::to_string(random_.Below(2));
          if (!listeners_.contains("l" + number)) {
            secrets_.erase("s" + number);
            routes_.erase("r" + number);
          }
        }
        break;
    }
  }

  // As a real graph: clusters that nobody names go at once, with their endpoints.
  void Collect() {
    std::set<std::string> used;
    for (const Users* users : AllUsers())
      used.insert(users->clusters.begin(), users->clusters.end());
    std::erase_if(clusters_, [&](const auto& entry) { return !used.contains(entry.first); });
    std::set<std::string> assigned;
    for (const auto& [name, cluster] : clusters_) assigned.insert(cluster.assignment);
    std::erase_if(assignments_, [&](const auto& entry) { return !assigned.contains(entry.first); });
  }

  Random& random_;
  bool bad_;
  const bool renames_;
  bool fresh_ = false;
  int contents_ = 0;
  std::map<std::string, Cluster> clusters_;
  std::map<std::string, std::string> assignments_;
  std::map<std::string, std::string> secrets_;
  std::map<std::string, Composite> routes_;
  std::map<std::string, Composite> listeners_;
  std::map<std::string, Users> scopes_;
};

bool IsBad(const Resource& resource) {
  bool bad = resource.bytes.starts_with("!");
  resource.parts.ForEach([&](const PartPtr& part) { bad = bad || part->bytes.starts_with("!"); });
  return bad;
}

// ---- The Envoy and its server ----

std::string Names(const std::vector<std::string>& names, const char* mark) {
  std::string text;
  for (const std::string& name : names) text += std::string(" ") + mark + name;
  return text;
}

std::string Describe(const Request& request) {
  const TypeInfo* info = FindType(request.type_url);
  std::string text = std::string(info->name) + " nonce=" + request.nonce +
                     Names(request.names, "") + Names(request.subscribe, "+") +
                     Names(request.unsubscribe, "-");
  for (const auto& [name, version] : request.initial_versions) text += " has:" + name;
  if (request.error.has_value()) text += " rejected: " + *request.error;
  return text;
}

std::string Describe(const Response& response) {
  std::string text = std::string(Info(response.type).name) + " nonce=" + response.nonce;
  for (const ResourcePtr& resource : response.resources) {
    text += " " + resource->name + "@" +
            (resource->bytes.starts_with("\n") ? "blank" : resource->bytes);
    if (resource->parts.empty()) continue;
    text += "[";
    for (const PartPtr& part : resource->parts.Sorted())
      text += " " + part->name + "@" + part->bytes;
    text += " ]";
  }
  return text + Names(response.removed, "-");
}

class Simulation {
 public:
  Simulation(unsigned seed, const Setting& setting)
      : setting_(setting), random_(seed), world_(random_, setting.rejects, setting.aggregated) {
    snapshot_ = world_.Commit();
    Connect();
  }

  void Run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) Step();
    if (testing::Test::HasFailure()) return;
    if (setting_.rejects) {
      Publish();
      Settle();
      if (testing::Test::HasFatalFailure()) return;
      CheckGood();
      world_.Refresh();
    }
    Publish();
    Quiesce();
    Check();
  }

  // What happened, for the reader of a failure.
  std::string History() const {
    std::string text;
    for (const std::string& line : history_) text += line + "\n";
    return text;
  }

 private:
  void Note(std::string line) {
    history_.push_back(fmt::format("{:>7} ms  {}", now_.time_since_epoch() / 1ms, line));
    if (history_.size() > 250) history_.pop_front();
  }

  // A cluster as Envoy has it: one that warms stands beside the one in use.
  struct Instance {
    ResourcePtr cluster;
    ResourcePtr endpoints;  // nullptr: never got any
    int id = 0;
    Time since;
    bool answered = false;         // about its endpoints
    std::optional<Time> ready_at;  // its DNS or health check is done
    bool orphan = false;  // its connection broke while it warmed, and the server doesn't know
  };
  // A subscription of the Envoy on one stream.
  struct Subscription {
    bool sent = false;  // on this stream
    std::set<std::string> names;
    std::string version;  // acked last; survives streams
    std::string nonce;    // of this stream
    bool owes = false;    // a request is due, withheld
    std::deque<Request> withheld;
  };
  struct Link {
    std::string id;
    Stream* stream = nullptr;
    std::deque<Request> up;
    std::deque<Response> down;
    std::map<ResourceType, Subscription> subscriptions;
  };

  bool delta() const { return setting_.protocol == Protocol::kDelta; }

  // -- The connection

  void Connect() {
    session_ = std::make_unique<Session>(Session::Identity{"node", "peer", setting_.aggregated},
                                         Session::Options{1h, {}}, snapshot_, memory_);
    memory_.reset();
    if (setting_.aggregated) {
      Link& link = OpenLink("ads");
      // Nothing that it says shows that it isn't fresh.
      blind_ = Paused(kCDS) && EndpointNames().empty() && listeners_.empty();
      Subscribe(link, kCDS);
      if (!EndpointNames().empty()) Subscribe(link, kEDS);
      if (initialized_) {
        Subscribe(link, kLDS);
        Subscribe(link, kSRDS);
        if (!RouteNames().empty()) Subscribe(link, kRDS);
        if (!SecretNames().empty()) Subscribe(link, kSDS);
      }
      return;
    }
    Subscribe(OpenLink("cds"), kCDS);
    if (initialized_) {
      Subscribe(OpenLink("lds"), kLDS);
      Subscribe(OpenLink("srds"), kSRDS);
    }
    FitLinks();
  }

  void Disconnect(bool remembered) {
    Note("disconnected");
    for (auto& [id, link] : links_) {
      for (auto& [type, subscription] : link->subscriptions) {
        if (!subscription.version.empty()) versions_[Key(*link, type)] = subscription.version;
      }
      session_->Detach(*link->stream, now_);
    }
    links_.clear();
    if (remembered) memory_ = session_->TakeMemory();
    released_ += session_->counters().released;
    for (auto* instances : {&warming_}) {
      for (auto& [name, instance] : *instances) instance.orphan = true;
    }
  }

  std::string Key(const Link& link, ResourceType type) const {
    return link.id + "/" + std::string(Info(type).name);
  }

  Link& OpenLink(const std::string& id) {
    auto link = std::make_unique<Link>();
    link->id = id;
    link->stream = &session_->Attach(setting_.protocol);
    return *links_.emplace(id, std::move(link)).first->second;
  }

  void CloseLink(const std::string& id) {
    const auto at = links_.find(id);
    if (at == links_.end()) return;
    session_->Detach(*at->second->stream, now_);
    links_.erase(at);
  }

  // -- What the Envoy wants

  std::set<std::string> EndpointNames() const {
    std::set<std::string> names;
    for (const auto* instances : {&active_, &warming_}) {
      for (const auto& [name, instance] : *instances) {
        if (!instance.cluster->assignment.empty()) names.insert(instance.cluster->assignment);
      }
    }
    return names;
  }
  std::set<std::string> RouteNames() const {
    std::set<std::string> names;
    for (const auto& [name, listener] : listeners_) names.insert("r" + name.substr(1));
    return names;
  }
  std::set<std::string> SecretNames() const {
    std::set<std::string> names;
    for (const auto& [name, listener] : listeners_) names.insert("s" + name.substr(1));
    return names;
  }
  bool Paused(ResourceType type) const {
    return setting_.aggregated && type == kCDS && initialized_ && !warming_.empty();
  }

  // -- Requests

  void Send(Link& link, ResourceType type, Request request) {
    request.type_url = Info(type).url;
    link.up.push_back(std::move(request));
  }

  std::set<std::string> NamesOn(const Link& link, ResourceType type) const {
    if (type == kCDS || type == kLDS || type == kSRDS) return {};
    if (!setting_.aggregated) return {link.id.substr(link.id.rfind('/') + 1)};
    return type == kEDS ? EndpointNames() : type == kRDS ? RouteNames() : SecretNames();
  }

  // The first request of a type on a stream.
  void Subscribe(Link& link, ResourceType type) {
    Subscription& s = link.subscriptions[type];
    if (Paused(type)) {
      s.owes = true;
      return;
    }
    s.sent = true;
    s.owes = false;
    s.names = NamesOn(link, type);
    Request request;
    if (delta()) {
      request.subscribe = {s.names.begin(), s.names.end()};
      for (const auto& [name, version] : accepted_[type]) {
        if (!s.names.empty() && !s.names.contains(name)) continue;
        if (!setting_.aggregated && type == kEDS) continue;
        request.initial_versions.emplace_back(name, version);
      }
      if (!setting_.aggregated && type == kEDS && endpoint_versions_.contains(link.id)) {
        request.initial_versions.emplace_back(*s.names.begin(), endpoint_versions_[link.id]);
      }
    } else {
      if (const auto at = versions_.find(Key(link, type)); at != versions_.end())
        s.version = at->second;
      request.version = s.version;
      request.names = {s.names.begin(), s.names.end()};
    }
    Send(link, type, std::move(request));
  }

  // Names changed: the Envoy says so, in ADS.
  void UpdateNames(ResourceType type) {
    if (!setting_.aggregated) {
      FitLinks();
      return;
    }
    Link& link = *links_.at("ads");
    Subscription& s = link.subscriptions[type];
    const std::set<std::string> names = NamesOn(link, type);
    if (!s.sent) {
      if (!names.empty()) Subscribe(link, type);
      return;
    }
    if (names == s.names) return;
    Request request;
    if (delta()) {
      for (const std::string& name : names) {
        if (!s.names.contains(name)) request.subscribe.push_back(name);
      }
      for (const std::string& name : s.names) {
        if (names.contains(name)) continue;
        request.unsubscribe.push_back(name);
        accepted_[type].erase(name);
      }
    } else {
      request.version = s.version;
      request.nonce = s.nonce;
      request.names = {names.begin(), names.end()};
    }
    s.names = names;
    Send(link, type, std::move(request));
  }

  // One stream per cluster, route configuration and secret.
  void FitLinks() {
    std::map<std::string, ResourceType> wanted;
    for (const auto* instances : {&active_, &warming_}) {
      for (const auto& [name, instance] : *instances) {
        if (instance.cluster->assignment.empty()) continue;
        wanted["eds/" + std::to_string(instance.id) + "/" + instance.cluster->assignment] = kEDS;
      }
    }
    for (const std::string& name : RouteNames()) wanted["rds/" + name] = kRDS;
    for (const std::string& name : SecretNames()) wanted["sds/" + name] = kSDS;
    std::vector<std::string> gone;
    for (const auto& [id, link] : links_) {
      if (id.find('/') != std::string::npos && !wanted.contains(id)) gone.push_back(id);
    }
    for (const std::string& id : gone) CloseLink(id);
    for (const auto& [id, type] : wanted) {
      if (!links_.contains(id)) Subscribe(OpenLink(id), type);
    }
  }

  // -- Responses

  void Receive(Link& link) {
    const Response response = std::move(link.down.front());
    link.down.pop_front();
    const ResourceType type = response.type;
    Subscription& s = link.subscriptions[type];
    s.nonce = response.nonce;
    const std::string id = link.id;
    Note("Envoy reads   " + id + " " + Describe(response));

    std::string error;
    for (const ResourcePtr& resource : response.resources) {
      if (IsBad(*resource)) error += resource->name + " is bad; ";
    }
    // Of a rejected response the good clusters and listeners are applied; here of the other types
    // too.
    std::vector<ResourcePtr> good;
    for (const ResourcePtr& resource : response.resources) {
      if (!IsBad(*resource)) good.push_back(resource);
      if (type == kEDS && IsBad(*resource)) Apply(link, type, nullptr, resource->name);
      if (type == kCDS && IsBad(*resource)) rejected_.insert(resource->name);
      if (type == kCDS && !IsBad(*resource)) rejected_.erase(resource->name);
    }
    const bool whole = !delta() && Info(type).whole;
    std::set<std::string> named;
    for (const ResourcePtr& resource : response.resources) named.insert(resource->name);
    for (const ResourcePtr& resource : good) {
      Apply(link, type, resource, resource->name);
      if (error.empty() && delta()) accepted_[type][resource->name] = resource->version.Hex();
      if (error.empty() && type == kEDS) endpoint_versions_[id] = resource->version.Hex();
    }
    for (const std::string& name : response.removed) {
      Withdraw(link, type, name);
      accepted_[type].erase(name);
    }
    if (whole) {
      std::vector<std::string> gone;
      if (type == kCDS) {
        for (const auto& [name, instance] : active_) gone.push_back(name);
        for (const auto& [name, instance] : warming_) gone.push_back(name);
      } else {
        for (const auto& [name, value] : type == kLDS ? listeners_ : scopes_) gone.push_back(name);
      }
      for (const std::string& name : gone) {
        if (!named.contains(name)) Withdraw(link, type, name);
      }
    }
    if (type == kCDS) got_clusters_ = true;

    Request request;
    request.nonce = response.nonce;
    if (!error.empty()) request.error = error;
    if (!delta()) {
      if (error.empty()) s.version = response.version;
      request.version = s.version;
      request.names = {s.names.begin(), s.names.end()};
    }
    if (Paused(type) || !s.withheld.empty()) {  // none overtakes another
      if (!delta()) s.withheld.clear();         // only the last is sent
      request.type_url = Info(type).url;
      s.withheld.push_back(std::move(request));
    } else {
      Send(link, type, std::move(request));
    }
    AfterChange();
  }

  // Subscriptions, pauses and the start follow from the state.
  void AfterChange() {
    if (!initialized_ && got_clusters_ && warming_.empty()) {
      initialized_ = true;
      Subscribe(setting_.aggregated ? *links_.at("ads") : OpenLink("lds"), kLDS);
      Subscribe(setting_.aggregated ? *links_.at("ads") : OpenLink("srds"), kSRDS);
    }
    UpdateNames(kEDS);
    if (initialized_) {
      UpdateNames(kRDS);
      UpdateNames(kSDS);
    }
    // Routes and secrets that nobody refers to are gone.
    const std::set<std::string> routes = RouteNames();
    std::erase_if(routes_, [&](const auto& entry) { return !routes.contains(entry.first); });
    const std::set<std::string> secrets = SecretNames();
    std::erase_if(secrets_, [&](const auto& entry) { return !secrets.contains(entry.first); });
    std::erase_if(accepted_[kRDS],
                  [&](const auto& entry) { return !routes.contains(entry.first); });
    std::erase_if(accepted_[kSDS],
                  [&](const auto& entry) { return !secrets.contains(entry.first); });
    const std::set<std::string> endpoints = EndpointNames();
    std::erase_if(accepted_[kEDS],
                  [&](const auto& entry) { return !endpoints.contains(entry.first); });
    if (!setting_.aggregated || Paused(kCDS)) return;
    Link& link = *links_.at("ads");
    Subscription& s = link.subscriptions[kCDS];
    if (s.owes) Subscribe(link, kCDS);
    for (; !s.withheld.empty(); s.withheld.pop_front()) link.up.push_back(s.withheld.front());
  }

  // Whether an assignment that comes on the stream is this instance's.
  bool Concerns(const Link& link, const Instance& instance, const std::string& assignment) const {
    return instance.cluster->assignment == assignment &&
           (setting_.aggregated ||
            link.id == "eds/" + std::to_string(instance.id) + "/" + assignment);
  }

  // Endpoints that are bad (nullptr) end the wait for them as well.
  void Apply(Link& link, ResourceType type, const ResourcePtr& resource,
             const std::string& resource_name) {
    switch (type) {
      case kCDS: {
        const auto warming = warming_.find(resource->name);
        const auto active = active_.find(resource->name);
        const ResourcePtr latest = warming != warming_.end() ? warming->second.cluster
                                   : active != active_.end() ? active->second.cluster
                                                             : nullptr;
        if (latest != nullptr && latest->version == resource->version) return;
        Instance instance;
        instance.cluster = resource;
        instance.id = ++instances_;
        instance.since = now_;
        instance.orphan = warming != warming_.end() && warming->second.orphan;
        if (resource->assignment.empty()) instance.ready_at = now_ + Some(kWarmTime);
        warming_[resource->name] = instance;
        return;
      }
      case kEDS: {
        for (auto* instances : {&active_, &warming_}) {
          for (auto& [name, instance] : *instances) {
            if (!Concerns(link, instance, resource_name)) continue;
            if (instances == &active_ && resource != nullptr && instance.endpoints != nullptr &&
                resource->bytes == MakeBlank(resource_name)->bytes &&
                instance.endpoints->bytes != resource->bytes && InEffect().contains(name) &&
                !world_.emptied.contains(resource_name) && !forgiven_.contains(name) &&
                !IsBadNow(kEDS, resource_name)) {
              ADD_FAILURE() << "the endpoints of " << name << ", which is in use, were emptied";
            }
            if (resource != nullptr) instance.endpoints = resource;
            if (!instance.answered && instance.cluster->warm_by == WarmBy::kAcknowledgement) {
              instance.ready_at = now_ + Some(kWarmTime);
            }
            instance.answered = true;
          }
        }
        Warm();
        return;
      }
      case kLDS:
        CheckUse(listeners_[resource->name], *resource);
        listeners_[resource->name] = resource;
        return;
      case kSRDS:
        CheckUse(scopes_[resource->name], *resource);
        scopes_[resource->name] = resource;
        return;
      case kRDS:
        if (!RouteNames().contains(resource->name)) return;
        CheckUse(routes_[resource->name], *resource);
        routes_[resource->name] = resource;
        return;
      case kSDS:
        if (SecretNames().contains(resource->name)) secrets_[resource->name] = resource;
        return;
    }
  }

  std::chrono::milliseconds Some(std::chrono::milliseconds most) {
    return std::chrono::milliseconds(random_.Below(static_cast<unsigned>(most.count())));
  }

  // Clusters whose time has come take over.
  void Warm() {
    std::vector<std::string> ready;
    for (auto& [name, instance] : warming_) {
      if (now_ >= instance.since + kFetchTimeout && !instance.ready_at.has_value())
        instance.ready_at = now_;
      const bool answered = instance.cluster->assignment.empty() || instance.answered ||
                            now_ >= instance.since + kFetchTimeout;
      const bool checked = instance.cluster->warm_by == WarmBy::kAssignment ||
                           (instance.ready_at.has_value() && *instance.ready_at <= now_);
      if (answered && checked) ready.push_back(name);
    }
    for (const std::string& name : ready) {
      active_[name] = warming_.at(name);
      warming_.erase(name);
    }
  }

  // Whether the connection broke between the cluster, or one that shares its assignment, and the
  // assignment.
  bool Orphaned(const std::string& assignment, const std::string& cluster) const {
    for (const auto* instances : {&active_, &warming_}) {
      for (const auto& [name, instance] : *instances) {
        const bool shares = !setting_.aggregated && !assignment.empty() &&
                            instance.cluster->assignment == assignment;
        if (instance.orphan && (name == cluster || shares)) return true;
      }
    }
    return false;
  }

  void CheckUse(const ResourcePtr& before, const Resource& after) {
    CheckUse(after.name, before == nullptr ? nullptr : &before->clusters, after.clusters);
    after.parts.ForEach([&](const PartPtr& part) {
      const PartPtr was = before == nullptr ? nullptr : before->parts.Find(part->name);
      CheckUse(after.name + " " + part->name, was == nullptr ? nullptr : &was->clusters,
               part->clusters);
    });
  }

  void CheckUse(const std::string& user, const std::vector<std::string>* before,
                const std::vector<std::string>& after) {
    for (const std::string& cluster : after) {
      if (before != nullptr && std::find(before->begin(), before->end(), cluster) != before->end())
        continue;
      if (active_.contains(cluster)) continue;
      const auto warming = warming_.find(cluster);
      if (warming != warming_.end() && Orphaned(warming->second.cluster->assignment, cluster))
        continue;
      // One that it rejected is missing; the hosts of the others in that response mustn't wait for
      // it.
      if (blind_ || forgiven_.contains(cluster) || rejected_.contains(cluster)) continue;
      ADD_FAILURE() << user << " was announced, but " << cluster << " is "
                    << (warming == warming_.end() ? "unknown" : "cold");
    }
  }

  // Clusters that are named by what the Envoy serves.
  std::set<std::string> InEffect() const {
    std::set<std::string> clusters;
    const std::set<std::string> names = RouteNames();
    for (const auto* composites : {&routes_, &listeners_, &scopes_}) {
      for (const auto& [name, composite] : *composites) {
        if (composite == nullptr || (composites == &routes_ && !names.contains(name))) continue;
        clusters.insert(composite->clusters.begin(), composite->clusters.end());
        composite->parts.ForEach([&](const PartPtr& part) {
          clusters.insert(part->clusters.begin(), part->clusters.end());
        });
      }
    }
    return clusters;
  }

  void Withdraw(const Link& link, ResourceType type, const std::string& name) {
    switch (type) {
      case kCDS:
        // One that was rejected may be sent, as another with its assignment has endpoints.
        if (InEffect().contains(name) && !forgiven_.contains(name) && !rejected_.contains(name)) {
          ADD_FAILURE() << "cluster " << name << " was withdrawn, but it is in use";
        }
        active_.erase(name);
        warming_.erase(name);
        return;
      case kEDS:
        for (auto* instances : {&active_, &warming_}) {
          for (auto& [cluster, instance] : *instances) {
            if (!Concerns(link, instance, name)) continue;
            // Before it has started it serves nothing.
            if (setting_.aggregated && initialized_ && instance.endpoints != nullptr) {
              ADD_FAILURE() << "assignment " << name << " was withdrawn, but " << cluster
                            << " uses it";
            }
            instance.answered = true;  // there are none
            if (!instance.ready_at.has_value()) instance.ready_at = now_;
          }
        }
        Warm();
        return;
      case kLDS:
        listeners_.erase(name);
        return;
      case kSRDS:
        scopes_.erase(name);
        return;
      case kRDS:
        if (RouteNames().contains(name) && routes_.contains(name))
          ADD_FAILURE() << "routes " << name << " were withdrawn under a listener";
        return;
      case kSDS:
        if (SecretNames().contains(name) && secrets_.contains(name))
          ADD_FAILURE() << "secret " << name << " was withdrawn under a listener";
        return;
    }
  }

  // -- Time

  void Publish() {
    snapshot_ = world_.Commit();
    session_->Offer(snapshot_);
    std::string contents;
    for (const ResourceType type : {kCDS, kEDS}) {
      for (const ResourcePtr& resource : snapshot_->table(type).Sorted())
        contents += " " + resource->name + "@" + resource->bytes;
    }
    Note("published" + contents);
  }

  Link* AnyLink() {
    if (links_.empty()) return nullptr;
    auto at = links_.begin();
    std::advance(at, random_.Below(static_cast<unsigned>(links_.size())));
    return at->second.get();
  }

  void Serve(Link& link) {
    if (link.up.empty()) return;
    const Request request = std::move(link.up.front());
    link.up.pop_front();
    Note("server reads  " + link.id + " " + Describe(request));
    ASSERT_TRUE(link.stream->OnRequest(request, now_).ok());
    Flush();
  }

  // Writes what can be written: a stream takes few responses at a time.
  void Flush() {
    for (;;) {
      const std::vector<Stream*> ready = session_->TakeReady(now_);
      if (++looks_ % 8 == 0) CheckFigures();
      if (ready.empty()) return;
      for (Stream* stream : ready) {
        for (auto& [id, link] : links_) {
          if (link->stream == stream) Write(*link);
        }
      }
    }
  }

  void Write(Link& link) {
    while (link.down.size() < 2) {
      std::optional<Response> response = link.stream->Next(now_);
      if (!response.has_value()) return;
      Note("server writes " + link.id + " " + Describe(*response));
      link.down.push_back(*std::move(response));
    }
  }

  void Step() {
    switch (random_.Below(12)) {
      case 0:
        world_.Edit();
        if (random_.OneIn(2)) Publish();
        Flush();
        return;
      case 1:
        now_ += Some(500ms);
        Warm();
        AfterChange();
        Flush();
        return;
      case 2:
        if (setting_.reconnects && random_.OneIn(40)) {
          Disconnect(true);
          if (random_.OneIn(2)) world_.Edit();
          snapshot_ = world_.Commit();
          Connect();
        } else if (setting_.restarts && random_.OneIn(40)) {
          Disconnect(false);
          const SnapshotPtr past = snapshot_;
          if (random_.OneIn(2)) world_.Edit();
          snapshot_ = world_.Commit();
          if (setting_.file) memory_ = MemoryOf(*past);
          const bool known =
              setting_.file && versions_["ads/CDS"] == past->table(kCDS).version().Hex();
          Connect();
          // A server that starts without knowing what this Envoy has in state of the world can't
          // keep it.
          if (!delta() && !known) {
            for (const auto& [name, instance] : active_) forgiven_.insert(name);
          }
        }
        return;
      case 3:
      case 4:
      case 5:
      case 6: {
        if (Link* link = AnyLink(); link != nullptr) Serve(*link);
        return;
      }
      default: {
        Link* link = AnyLink();
        if (link == nullptr) return;
        if (!link->down.empty()) {
          Receive(*link);
        }
        Flush();
        for (auto& [id, each] : links_) Write(*each);
        return;
      }
    }
  }

  bool Move() {
    bool moved = false;
    std::vector<std::string> ids;
    for (const auto& [id, link] : links_) ids.push_back(id);
    for (const std::string& id : ids) {
      if (const auto at = links_.find(id); at != links_.end() && !at->second->up.empty()) {
        Serve(*at->second);
        moved = true;
      }
      if (const auto at = links_.find(id); at != links_.end() && !at->second->down.empty()) {
        Receive(*at->second);
        moved = true;
      }
      Flush();
      for (auto& [each_id, each] : links_) Write(*each);
    }
    return moved;
  }

  void Settle() {
    for (int i = 0; i < 20; ++i) {
      Flush();
      for (auto& [id, link] : links_) Write(*link);
      for (int moves = 0; Move(); ++moves) ASSERT_LT(moves, 1000) << "never quiet";
      now_ += 1s;
      Warm();
      AfterChange();
    }
  }

  void Quiesce() {
    Flush();
    // First what takes the Envoy's time only; the time-outs of the server are an hour.
    Settle();
    // What came together with something bad isn't acknowledged; then time must help.
    const bool stuck = setting_.rejects;
    EXPECT_TRUE(stuck || session_->Held() == 0) << "somebody waits for ever";
    EXPECT_TRUE(warming_.empty()) << warming_.begin()->first << " never warms";
    // Then what the server waits for after a connection.
    now_ += 2h;
    Settle();
    EXPECT_TRUE(stuck || released_ + session_->counters().released == 0);
  }

  // Never good, so that there is nothing else to serve.
  bool IsBadNow(ResourceType type, const std::string& name) const {
    const ResourcePtr resource = snapshot_->Find(type, name);
    return resource != nullptr && IsBad(*resource);
  }

  // Of what is good, whatever stands beside it, all is in effect and acknowledged.
  void CheckGood() {
    const auto good = [&](const std::vector<std::string>& clusters) {
      return std::all_of(clusters.begin(), clusters.end(), [&](const std::string& name) {
        const ResourcePtr cluster = snapshot_->Find(kCDS, name);
        if (cluster == nullptr || IsBad(*cluster)) return false;
        const ResourcePtr assignment = snapshot_->Find(kEDS, cluster->assignment);
        return assignment == nullptr || !IsBad(*assignment);
      });
    };
    // On streams per type it shows late that a cluster is warm which was rejected with another.
    std::set<std::string> held;
    if (!setting_.aggregated) {
      for (const TypeView& type : session_->View(now_).types) {
        for (const HeldView& hold : type.held)
          held.insert(hold.part.empty() ? hold.resource : hold.part);
      }
    }
    const auto parts = [&](ResourceType type, const std::string& name, const ResourcePtr& has) {
      const ResourcePtr wanted = snapshot_->Find(type, name);
      if (wanted == nullptr || wanted->bytes.starts_with("!")) return;
      wanted->parts.ForEach([&](const PartPtr& part) {
        if (part->bytes.starts_with("!") || !good(part->clusters) || held.contains(part->name))
          return;
        const PartPtr found = has == nullptr ? nullptr : has->parts.Find(part->name);
        EXPECT_TRUE(found != nullptr && found->version == part->version)
            << Info(type).name << " " << name << " lacks the good part " << part->name;
      });
    };
    for (const std::string& name : RouteNames()) {
      const auto at = routes_.find(name);
      parts(kRDS, name, at == routes_.end() ? nullptr : at->second);
    }
    snapshot_->table(kLDS).ForEach([&](const ResourcePtr& listener) {
      const auto at = listeners_.find(listener->name);
      parts(kLDS, listener->name, at == listeners_.end() ? nullptr : at->second);
    });
    snapshot_->table(kSRDS).ForEach([&](const ResourcePtr& scope) {
      if (IsBad(*scope) || !good(scope->clusters) || held.contains(scope->name)) return;
      const auto at = scopes_.find(scope->name);
      EXPECT_TRUE(at != scopes_.end() && at->second->version == scope->version)
          << "the good scope " << scope->name << " is missing";
    });
    snapshot_->table(kCDS).ForEach([&](const ResourcePtr& cluster) {
      if (!good({cluster->name})) return;
      const auto at = active_.find(cluster->name);
      EXPECT_TRUE(at != active_.end() && at->second.cluster->version == cluster->version)
          << "the good cluster " << cluster->name << " is missing";
    });
    const SessionView view = session_->View(now_);
    for (const TypeView& type : view.types) {
      EXPECT_FALSE(type.searching) << Info(type.type).name;
      for (const RejectedView& refused : type.rejected) {
        const ResourcePtr resource = snapshot_->Find(type.type, refused.key.resource);
        ASSERT_NE(resource, nullptr);
        // A bad head that there is no other for looks like bad parts.
        const bool bad = refused.key.part.has_value() && !resource->bytes.starts_with("!")
                             ? resource->parts.Find(*refused.key.part)->bytes.starts_with("!")
                             : resource->bytes.starts_with("!");
        EXPECT_TRUE(bad || !refused.culprit)
            << Info(type.type).name << " " << refused.key.resource << "/"
            << refused.key.part.value_or("") << " is innocent";
      }
    }
  }

  // The figures that are kept up are those that counting gives, and a page of what stands out shows
  // just what the whole page shows of it.
  void CheckFigures() {
    const SessionView all = session_->View(now_);
    std::size_t held = 0;
    std::optional<std::chrono::milliseconds> lag;
    for (const TypeView& type : all.types) {
      held += type.held.size();
      if (type.lag) lag = std::max(lag.value_or(0ms), *type.lag);
    }
    EXPECT_EQ(session_->Held(), held);
    EXPECT_EQ(session_->OldestUnanswered().has_value(), lag.has_value());
    if (lag) {
      EXPECT_EQ(std::chrono::duration_cast<std::chrono::milliseconds>(
                    now_ - *session_->OldestUnanswered()),
                *lag);
    }
    // Of a content that we don't know the page shows only what is being replaced or withdrawn.
    std::set<std::string> unsettled;
    std::set<std::string> unknown;
    for (const LedgerEntry& entry : all.entries) {
      const std::string name = fmt::format("{}/{}", Info(entry.type).name, entry.name);
      if (entry.acknowledged == "unknown") unknown.insert(name);
      if (entry.acknowledged != entry.sent || entry.rejected || !entry.held_parts.empty() ||
          entry.retained || entry.warming)
        unsettled.insert(name);
    }
    std::set<std::string> shown;
    for (const LedgerEntry& entry :
         session_->View(now_, ViewFilter(), ViewFilter::kEverything).entries)
      shown.insert(fmt::format("{}/{}", Info(entry.type).name, entry.name));
    for (const std::string& name : shown) EXPECT_TRUE(unsettled.contains(name)) << name;
    for (const std::string& name : unsettled)
      EXPECT_TRUE(shown.contains(name) || unknown.contains(name)) << name;
  }

  template <typename Held>
  void Same(ResourceType type, const std::map<std::string, Held>& held,
            const std::set<std::string>& names) {
    for (const std::string& name : names) {
      const ResourcePtr wanted = snapshot_->Find(type, name);
      const auto at = held.find(name);
      const ResourcePtr has = at == held.end() ? nullptr : at->second;
      if (wanted == nullptr) {
        const bool blank = has != nullptr && has->version == MakeBlank(name)->version;
        EXPECT_TRUE(has == nullptr || blank) << Info(type).name << " " << name << " is left over";
      } else if (has == nullptr) {
        ADD_FAILURE() << Info(type).name << " " << name << " is missing";
      } else {
        EXPECT_EQ(Assemble(type, *has), Assemble(type, *wanted)) << Info(type).name << " " << name;
      }
    }
  }

  void Check() {
    std::map<std::string, ResourcePtr> clusters;
    for (const auto& [name, instance] : active_) clusters[name] = instance.cluster;
    const auto all = [&](ResourceType type, const auto& held) {
      std::set<std::string> names;
      snapshot_->table(type).ForEach(
          [&](const ResourcePtr& resource) { names.insert(resource->name); });
      for (const auto& [name, value] : held) names.insert(name);
      return names;
    };
    Same(kCDS, clusters, all(kCDS, clusters));
    Same(kLDS, listeners_, all(kLDS, listeners_));
    Same(kSRDS, scopes_, all(kSRDS, scopes_));
    Same(kRDS, routes_, RouteNames());
    Same(kSDS, secrets_, SecretNames());
    for (const auto& [name, instance] : active_) {
      if (instance.cluster->assignment.empty()) continue;
      std::map<std::string, ResourcePtr> endpoints;
      if (instance.endpoints != nullptr)
        endpoints[instance.cluster->assignment] = instance.endpoints;
      Same(kEDS, endpoints, {instance.cluster->assignment});
    }
    for (const LedgerEntry& entry : session_->View(now_).entries) {
      // Neighbours of something bad aren't acknowledged until they change again.
      EXPECT_TRUE(entry.sent == entry.acknowledged || setting_.rejects)
          << Info(entry.type).name << " " << entry.name;
      EXPECT_FALSE(entry.retained || (entry.warming && !setting_.rejects) ||
                   !entry.held_parts.empty())
          << Info(entry.type).name << " " << entry.name;
    }
    EXPECT_LE(session_->NextDeadline().value_or(now_ + 1h), now_ + 3h);
  }

  const Setting setting_;
  std::deque<std::string> history_;
  Random random_;
  World world_;
  SnapshotPtr snapshot_;
  std::unique_ptr<Session> session_;
  std::shared_ptr<const Memory> memory_;
  std::uint64_t released_ = 0;
  std::uint64_t looks_ = 0;
  Time now_{};
  std::map<std::string, std::unique_ptr<Link>> links_;
  std::set<std::string> forgiven_;
  std::set<std::string> rejected_;  // clusters whose last content was

  // The Envoy's state, which outlives connections.
  bool initialized_ = false;
  bool got_clusters_ = false;
  bool blind_ = false;
  int instances_ = 0;
  std::map<std::string, Instance> active_;
  std::map<std::string, Instance> warming_;
  std::map<std::string, ResourcePtr> listeners_;
  std::map<std::string, ResourcePtr> scopes_;
  std::map<std::string, ResourcePtr> routes_;
  std::map<std::string, ResourcePtr> secrets_;
  std::map<ResourceType, std::map<std::string, std::string>> accepted_;  // delta: name → version
  std::map<std::string, std::string> versions_;           // state of the world: stream and type
  std::map<std::string, std::string> endpoint_versions_;  // streams per type: by stream
};

class SubscriptionRandom : public testing::TestWithParam<Setting> {};

TEST_P(SubscriptionRandom, EndsInTheSnapshot) {
  const char* wanted = std::getenv("CONTOUR_SEEDS");  // for a long run
  const unsigned seeds = wanted == nullptr ? 1000 : static_cast<unsigned>(std::atoi(wanted));
  for (unsigned seed = 0; seed < seeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Simulation simulation(seed, GetParam());
    simulation.Run(40 + static_cast<int>(seed % 7) * 60);
    if (HasFailure()) FAIL() << "the end of the history:\n" << simulation.History();
  }
}

constexpr Protocol kDelta = Protocol::kDelta;
constexpr Protocol kWorld = Protocol::kStateOfTheWorld;

INSTANTIATE_TEST_SUITE_P(
    Modes, SubscriptionRandom,
    testing::Values(
        Setting{"DeltaAds", true, kDelta}, Setting{"WorldAds", true, kWorld},
        Setting{.name = "DeltaAdsRejects", .aggregated = true, .protocol = kDelta, .rejects = true},
        Setting{.name = "WorldAdsRejects", .aggregated = true, .protocol = kWorld, .rejects = true},
        Setting{.name = "DeltaAdsReconnects",
                .aggregated = true,
                .protocol = kDelta,
                .reconnects = true},
        Setting{.name = "WorldAdsReconnects",
                .aggregated = true,
                .protocol = kWorld,
                .reconnects = true},
        Setting{
            .name = "DeltaAdsRestarts", .aggregated = true, .protocol = kDelta, .restarts = true},
        Setting{
            .name = "WorldAdsRestarts", .aggregated = true, .protocol = kWorld, .restarts = true},
        Setting{.name = "DeltaAdsRestartsWithAFile",
                .aggregated = true,
                .protocol = kDelta,
                .restarts = true,
                .file = true},
        Setting{.name = "WorldAdsRestartsWithAFile",
                .aggregated = true,
                .protocol = kWorld,
                .restarts = true,
                .file = true},
        Setting{"DeltaPerType", false, kDelta}, Setting{"WorldPerType", false, kWorld},
        Setting{.name = "DeltaPerTypeRejects",
                .aggregated = false,
                .protocol = kDelta,
                .rejects = true},
        Setting{.name = "WorldPerTypeRejects",
                .aggregated = false,
                .protocol = kWorld,
                .rejects = true},
        Setting{.name = "DeltaPerTypeReconnects",
                .aggregated = false,
                .protocol = kDelta,
                .reconnects = true},
        Setting{.name = "WorldPerTypeReconnects",
                .aggregated = false,
                .protocol = kWorld,
                .reconnects = true},
        Setting{"DeltaAdsReconnectsAndRestarts", true, kDelta, false, true, true},
        Setting{"WorldAdsReconnectsAndRestarts", true, kWorld, false, true, true}),
    [](const auto& setting) { return setting.param.name; });

}  // namespace
}  // namespace contour::xds
