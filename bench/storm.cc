// SPDX-License-Identifier: Apache-2.0
// Measures what it costs when very many hosts come, change and go at once, by their number: objects
// → pipeline → xDS server with four workers → simulated Envoys over gRPC on the loopback interface.
// The server, the Envoys and the bystanders are processes of their own, so that none waits for
// threads of another.
//
//   storm [MODE[,MODE…] [HOSTS[,HOSTS…] [STREAMS]]]
//
// MODE: classic, sharded, sharded-https. Each simulated Envoy has a connection and a delta ADS
// stream of its own. As Envoy does, it withholds ACKs of clusters while any cluster
// warms, and ends its subscription to an assignment with the last cluster that uses it. A phase
// ends when every Envoy has exactly the content of the snapshot.
//
// Beside them some bystanders subscribe to the endpoints of one other host, which change every 20
// ms through all phases; the longest time until a bystander has such a change is reported. Prints a
// line of JSON a phase. Every loop is bounded.

#include <fmt/core.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "api/endpoint_slice.h"
#include "api/ingress_route.h"
#include "api/secret.h"
#include "api/service.h"
#include "core/pipeline.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/listener.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "tests/support/certificates.h"
#include "xds/grpc/server.h"

namespace {

using contour::Hash128;
using contour::xds::Info;
using contour::xds::ResourceType;
using contour::xds::SnapshotPtr;
using ::envoy::service::discovery::v3::DeltaDiscoveryRequest;
using ::envoy::service::discovery::v3::DeltaDiscoveryResponse;
using Clock = std::chrono::steady_clock;
namespace api = contour::api;

constexpr std::chrono::milliseconds kProbeInterval{20};
constexpr std::chrono::seconds kPhaseLimit{150};
constexpr std::size_t kBystanders = 8;

std::string UrlOf(ResourceType type) { return std::string(Info(type).url); }

// ---- Objects ----

template <typename T>
std::shared_ptr<T> Make(std::string name) {
  auto object = std::make_shared<T>();
  object->meta.ns = "default";
  object->meta.name = std::move(name);
  return object;
}

api::Change Added(const api::ObjectPtr& object) { return {object->Ref(), object}; }

std::string HostName(std::size_t i) { return fmt::format("host-{}.example.com", i); }

api::ObjectPtr Service(const std::string& name) {
  auto service = Make<api::Service>(name);
  service->spec.ports.push_back({"http", 80, "TCP"});
  return service;
}

api::ObjectPtr Endpoints(const std::string& service, const std::string& address) {
  auto slice = Make<api::EndpointSlice>(service + "-1");
  slice->service_name = service;
  slice->address_type = "IPv4";
  slice->ports.push_back({"http", 8080, "TCP"});
  slice->endpoints.emplace_back().addresses.push_back(address);
  return slice;
}

// Its clusters have another name with another strategy.
api::ObjectPtr Root(std::size_t i, const std::string& strategy, bool tls) {
  auto root = Make<api::IngressRoute>(fmt::format("root-{}", i));
  root->spec.virtualhost = api::IngressRouteVirtualHost{HostName(i), std::nullopt};
  if (tls) root->spec.virtualhost->tls = api::IngressRouteTLS{.secret_name = "tls"};
  root->spec.routes.emplace();
  for (const char* path : {"/", "/path"}) {
    api::IngressRouteRoute& route = root->spec.routes->emplace_back();
    route.match = path;
    route.services.push_back(
        {.name = fmt::format("service-{}", i), .port = 80, .strategy = strategy});
  }
  return root;
}

api::ObjectPtr TlsSecret() {
  const auto pair = contour::testing::MakePair("host.example.com");
  auto secret = Make<api::Secret>("tls");
  secret->type = "kubernetes.io/tls";
  secret->tls_crt = pair.certificate;
  secret->tls_key = pair.key;
  return secret;
}

// ---- Memory that the processes share ----

struct Shared {
  // The content that every Envoy is to have.
  struct Target {
    std::array<std::size_t, contour::xds::kResourceTypes> sizes{};
    std::array<Hash128, contour::xds::kResourceTypes> versions{};
    std::optional<Hash128> http_routes;  // the version of ingress_http
  };

  void SetTarget(const SnapshotPtr& snapshot) {
    Target next;
    for (const auto& info : contour::xds::kTypes) {
      next.sizes[Index(info.type)] = snapshot->table(info.type).size();
      next.versions[Index(info.type)] = snapshot->table(info.type).version();
    }
    if (const auto routes = snapshot->Find(ResourceType::kRoutes, "ingress_http"))
      next.http_routes = routes->version;
    Lock();
    target = next;
    ++generation;
    Unlock();
  }
  std::pair<Target, std::uint64_t> GetTarget() {
    Lock();
    const auto result = std::pair(target, generation.load());
    Unlock();
    return result;
  }

  std::atomic<int> port = 0;  // of the server; 0: not yet
  std::atomic<bool> quit = false;
  std::atomic<std::uint64_t> generation = 0;  // of the target
  std::atomic<std::uint64_t> reached = 0;     // the newest target that all Envoys had
  // When each change for the bystanders was published, by its number.
  std::array<std::atomic<std::int64_t>, 1 << 16> published_at{};
  std::atomic<std::uint64_t> published = 0;
  std::array<std::atomic<std::int64_t>, kBystanders> longest{};  // nanoseconds, of each

 private:
  void Lock() {
    while (lock_.test_and_set()) std::this_thread::yield();
  }
  void Unlock() { lock_.clear(); }

  std::atomic_flag lock_ = ATOMIC_FLAG_INIT;
  Target target;
};

std::int64_t NowNs() { return Clock::now().time_since_epoch().count(); }

// ---- Simulated Envoys ----

Hash128 Parse(const std::string& hex) {
  Hash128 version;
  if (hex.size() != 32) return version;
  std::from_chars(hex.data(), hex.data() + 16, version.high, 16);
  std::from_chars(hex.data() + 16, hex.data() + 32, version.low, 16);
  return version;
}

// The resources of one type, as far as their names and versions go.
class Holdings {
 public:
  void Set(const std::string& name, const std::string& version) {
    Remove(name);
    const Hash128 parsed = Parse(version);
    sum_ += parsed;
    versions_.emplace(name, parsed);
  }
  void Remove(const std::string& name) {
    const auto at = versions_.find(name);
    if (at == versions_.end()) return;
    sum_ -= at->second;
    versions_.erase(at);
  }
  std::size_t size() const { return versions_.size(); }
  const Hash128& sum() const { return sum_; }

 private:
  std::unordered_map<std::string, Hash128> versions_;
  Hash128 sum_;
};

// A delta ADS stream with a connection of its own. `Handle` runs on one thread of gRPC at a time.
class AdsStream : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  AdsStream(int port, std::string node_id) : node_id_(std::move(node_id)) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a connection of its own
    arguments.SetMaxReceiveMessageSize(-1);
    stub_ = std::make_unique<grpc::GenericStub>(grpc::CreateCustomChannel(
        fmt::format("127.0.0.1:{}", port), grpc::InsecureChannelCredentials(), arguments));
    stub_->PrepareBidiStreamingCall(
        &context_,
        "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources", {},
        this);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    grpc::Slice slice;
    DeltaDiscoveryResponse response;
    if (incoming_.DumpToSingleSlice(&slice).ok())
      response.ParseFromArray(slice.begin(), static_cast<int>(slice.size()));
    Handle(response);
    incoming_.Clear();
    StartRead(&incoming_);
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return;
    const std::lock_guard lock(queue_mutex_);
    queue_.pop_front();
    if (!queue_.empty()) StartWrite(&queue_.front());
  }
  void OnDone(const grpc::Status&) override { done_ = true; }

  void Stop() { context_.TryCancel(); }
  bool done() const { return done_; }

 protected:
  virtual void Handle(const DeltaDiscoveryResponse& response) = 0;

  void Start(DeltaDiscoveryRequest first) {
    first.mutable_node()->set_id(node_id_);
    Send(first);
    StartRead(&incoming_);
    StartCall();
  }
  void Send(const DeltaDiscoveryRequest& request) {
    grpc::Slice slice(request.SerializeAsString());
    const std::lock_guard lock(queue_mutex_);
    queue_.emplace_back(&slice, 1);
    if (queue_.size() == 1) StartWrite(&queue_.front());
  }
  void Acknowledge(const DeltaDiscoveryResponse& response) {
    DeltaDiscoveryRequest request;
    request.set_type_url(response.type_url());
    request.set_response_nonce(response.nonce());
    Send(request);
  }

 private:
  const std::string node_id_;
  std::unique_ptr<grpc::GenericStub> stub_;
  grpc::ClientContext context_;
  grpc::ByteBuffer incoming_;
  std::mutex queue_mutex_;
  std::deque<grpc::ByteBuffer> queue_;  // the first is under way
  std::atomic<bool> done_ = false;
};

// Subscribes to everything, as an Envoy does.
class SimulatedEnvoy final : public AdsStream {
 public:
  // `hosts`: whose certificates it asks for once there are scopes for HTTPS.
  SimulatedEnvoy(int port, std::size_t number, std::size_t hosts)
      : AdsStream(port, fmt::format("simulated-{}", number)), hosts_(hosts) {
    DeltaDiscoveryRequest clusters;
    clusters.set_type_url(UrlOf(ResourceType::kCluster));
    Start(std::move(clusters));
  }

  // True if it has just the target, and every cluster is warm.
  bool Has(const Shared::Target& target) {
    const std::lock_guard lock(mutex_);
    if (!cold_.empty()) return false;
    for (const ResourceType type :
         {ResourceType::kCluster, ResourceType::kEndpoints, ResourceType::kListener,
          ResourceType::kRoutes, ResourceType::kScopedRoutes, ResourceType::kSecret}) {
      const Holdings& has = holdings_[Index(type)];
      if (type == ResourceType::kRoutes) {  // subscribed to by name
        if (!target.http_routes || !routes_asked_ || scoped_) continue;
        if (has.size() != 1 || has.sum() != *target.http_routes) return false;
      } else if (type == ResourceType::kSecret && !secrets_asked_) {
        continue;
      } else if (has.size() != target.sizes[Index(type)] ||
                 has.sum() != target.versions[Index(type)]) {
        return false;
      }
    }
    return true;
  }

  std::string Describe(const Shared::Target& target) {
    const std::lock_guard lock(mutex_);
    std::string text = fmt::format("cold {}", cold_.size());
    for (const auto& info : contour::xds::kTypes) {
      text += fmt::format(", {} {} of {}", info.name, holdings_[Index(info.type)].size(),
                          target.sizes[Index(info.type)]);
    }
    return text;
  }

 private:
  void Handle(const DeltaDiscoveryResponse& response) override {
    const std::lock_guard lock(mutex_);
    const auto* info = contour::xds::FindType(response.type_url());
    if (info == nullptr) return;
    Holdings& holdings = holdings_[Index(info->type)];
    for (const auto& resource : response.resources()) {
      if (info->type == ResourceType::kEndpoints && !users_.contains(resource.name())) continue;
      holdings.Set(resource.name(), resource.version());
    }
    for (const std::string& name : response.removed_resources()) holdings.Remove(name);
    switch (info->type) {
      case ResourceType::kCluster:
        HandleClusters(response);
        return;
      case ResourceType::kEndpoints:
        for (const auto& resource : response.resources()) cold_.erase(resource.name());
        AcknowledgeClusters();
        break;
      case ResourceType::kListener:
        if (!std::exchange(routes_asked_, true)) AskForRoutes(response);
        break;
      case ResourceType::kScopedRoutes:
        if (hosts_ > 0 && response.resources_size() > 0 && !std::exchange(secrets_asked_, true))
          AskForSecrets();
        break;
      case ResourceType::kRoutes:
      case ResourceType::kSecret:
        break;
    }
    Acknowledge(response);
  }

  void HandleClusters(const DeltaDiscoveryResponse& response) {
    DeltaDiscoveryRequest endpoints;
    endpoints.set_type_url(UrlOf(ResourceType::kEndpoints));
    for (const auto& resource : response.resources()) {
      ::envoy::config::cluster::v3::Cluster cluster;
      if (!cluster.ParseFromString(resource.resource().value())) continue;
      const std::string assignment = cluster.eds_cluster_config().service_name();
      if (assignment.empty()) continue;
      cold_.insert(assignment);
      assignment_of_[resource.name()] = assignment;
      if (users_[assignment].insert(resource.name()).second && users_[assignment].size() == 1)
        endpoints.add_resource_names_subscribe(assignment);
    }
    for (const std::string& name : response.removed_resources()) {
      const auto assignment = assignment_of_.find(name);
      if (assignment == assignment_of_.end()) continue;
      const auto users = users_.find(assignment->second);
      users->second.erase(name);
      if (users->second.empty()) {
        endpoints.add_resource_names_unsubscribe(assignment->second);
        holdings_[Index(ResourceType::kEndpoints)].Remove(assignment->second);
        cold_.erase(assignment->second);
        users_.erase(users);
      }
      assignment_of_.erase(assignment);
    }
    if (endpoints.resource_names_subscribe_size() + endpoints.resource_names_unsubscribe_size() > 0)
      Send(endpoints);
    unacknowledged_.push_back(response.nonce());
    AcknowledgeClusters();
    if (std::exchange(listeners_asked_, true)) return;
    DeltaDiscoveryRequest listeners;
    listeners.set_type_url(UrlOf(ResourceType::kListener));
    Send(listeners);
  }

  void AcknowledgeClusters() {
    if (!cold_.empty()) return;
    for (const std::string& nonce : std::exchange(unacknowledged_, {})) {
      DeltaDiscoveryRequest request;
      request.set_type_url(UrlOf(ResourceType::kCluster));
      request.set_response_nonce(nonce);
      Send(request);
    }
  }

  void AskForRoutes(const DeltaDiscoveryResponse& listeners) {
    for (const auto& listener : listeners.resources())
      scoped_ = scoped_ || listener.resource().value().find("ScopedRoutes") != std::string::npos ||
                listener.resource().value().find("contour.host") != std::string::npos;
    DeltaDiscoveryRequest routes;
    routes.set_type_url(UrlOf(scoped_ ? ResourceType::kScopedRoutes : ResourceType::kRoutes));
    if (!scoped_) routes.add_resource_names_subscribe("ingress_http");
    Send(routes);
  }

  void AskForSecrets() {
    DeltaDiscoveryRequest secrets;
    secrets.set_type_url(UrlOf(ResourceType::kSecret));
    for (std::size_t i = 0; i < hosts_; ++i)
      secrets.add_resource_names_subscribe(contour::envoy::OnDemandSecretName(HostName(i)));
    secrets.add_resource_names_subscribe(contour::envoy::OnDemandSecretName("first.example.com"));
    Send(secrets);
  }

  const std::size_t hosts_;
  std::mutex mutex_;
  std::array<Holdings, contour::xds::kResourceTypes> holdings_;
  std::unordered_map<std::string, std::string> assignment_of_;    // by cluster
  std::unordered_map<std::string, std::set<std::string>> users_;  // by assignment
  std::set<std::string> cold_;                                    // assignments waited for
  std::vector<std::string> unacknowledged_;                       // responses with clusters
  bool listeners_asked_ = false;
  bool routes_asked_ = false;
  bool scoped_ = false;
  bool secrets_asked_ = false;
};

// Subscribes to the endpoints of one Service and takes the time until it has each change.
class Bystander final : public AdsStream {
 public:
  Bystander(Shared& shared, std::size_t number)
      : AdsStream(shared.port, fmt::format("bystander-{}", number)),
        shared_(shared),
        number_(number) {
    DeltaDiscoveryRequest request;
    request.set_type_url(UrlOf(ResourceType::kEndpoints));
    request.add_resource_names_subscribe("default/first/http");
    Start(std::move(request));
  }

 private:
  void Handle(const DeltaDiscoveryResponse& response) override {
    for (const auto& resource : response.resources()) Note(resource.resource().value());
    Acknowledge(response);
  }
  // The time of the change that it waited for longest. Those between two that it gets are skipped.
  void Note(std::string_view bytes) {
    const std::size_t at = bytes.find("10.9.");
    if (at == std::string_view::npos) return;
    int high = 0;
    int low = 0;
    const char* end = bytes.data() + bytes.size();
    const auto dot = std::from_chars(bytes.data() + at + 5, end, high);
    std::from_chars(dot.ptr + 1, end, low);
    const auto change = static_cast<std::uint64_t>(high * 250 + low - 1);
    const std::uint64_t oldest = std::exchange(next_, change + 1);
    if (oldest > change) return;
    std::atomic<std::int64_t>& longest = shared_.longest[number_];
    longest = std::max(longest.load(), NowNs() - shared_.published_at[oldest].load());
  }

  Shared& shared_;
  const std::size_t number_;
  std::uint64_t next_ = 0;  // the first change that it doesn't have
};

template <typename Streams>
void StopAll(Streams& streams) {
  for (const auto& stream : streams) stream->Stop();
  for (const auto& stream : streams) {
    while (!stream->done()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void WaitForPort(Shared& shared) {
  while (shared.port == 0 && !shared.quit)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

void RunEnvoys(Shared& shared, std::size_t streams, std::size_t hosts) {
  WaitForPort(shared);
  std::vector<std::unique_ptr<SimulatedEnvoy>> envoys;
  for (std::size_t i = 0; i < streams; ++i)
    envoys.push_back(std::make_unique<SimulatedEnvoy>(shared.port, i, hosts));
  while (!shared.quit) {
    const auto [target, generation] = shared.GetTarget();
    if (std::all_of(envoys.begin(), envoys.end(),
                    [&, wanted = &target](const auto& envoy) { return envoy->Has(*wanted); }))
      shared.reached = generation;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  const auto [target, generation] = shared.GetTarget();
  if (shared.reached < generation)
    fmt::print(stderr, "not complete: {}\n", envoys[0]->Describe(target));
  StopAll(envoys);
}

void RunBystanders(Shared& shared) {
  WaitForPort(shared);
  std::vector<std::unique_ptr<Bystander>> bystanders;
  for (std::size_t i = 0; i < kBystanders; ++i)
    bystanders.push_back(std::make_unique<Bystander>(shared, i));
  while (!shared.quit) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  StopAll(bystanders);
}

// ---- Measuring ----

// CPU seconds of the workers of the xDS server.
double WorkerSeconds() {
  double seconds = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    std::getline(std::ifstream(task.path() / "comm"), name);
    if (name != "xds-worker") continue;
    double nanoseconds = 0;
    std::ifstream(task.path() / "schedstat") >> nanoseconds;
    seconds += nanoseconds / 1e9;
  }
  return seconds;
}

double ProcessSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

class Storm {
 public:
  Storm(Shared& shared, const std::string& mode, std::size_t hosts, std::size_t streams)
      : shared_(shared),
        mode_(mode),
        hosts_(hosts),
        streams_(streams),
        tls_(mode == "sharded-https"),
        pipeline_(Options(mode)) {
    contour::xds::Server::Options options;
    options.port = 0;
    options.workers = 4;
    server_ = std::make_unique<contour::xds::Server>(options);
    std::vector<api::Change> first = {Added(Service("first")),
                                      Added(Endpoints("first", "10.0.0.1"))};
    if (tls_) first.push_back(Added(TlsSecret()));
    auto root = Make<api::IngressRoute>("first");
    root->spec.virtualhost = api::IngressRouteVirtualHost{"first.example.com", std::nullopt};
    if (tls_) root->spec.virtualhost->tls = api::IngressRouteTLS{.secret_name = "tls"};
    root->spec.routes.emplace();
    api::IngressRouteRoute& route = root->spec.routes->emplace_back();
    route.match = "/";
    route.services.push_back({.name = "first", .port = 80});
    first.push_back(Added(root));
    Apply(first);
    const absl::StatusOr<int> port = server_->Start();
    if (!port.ok()) {
      fmt::print(stderr, "{}\n", port.status().ToString());
      std::exit(1);
    }
    shared_.port = *port;
    Wait(kPhaseLimit);
    // The server expects for so long that an Envoy that has just connected subscribes to more.
    std::this_thread::sleep_for(std::chrono::seconds(6));
  }

  ~Storm() {
    shared_.quit = true;
    server_->Stop(std::chrono::seconds(1));
  }

  bool Run() {
    std::vector<api::Change> services;
    for (std::size_t i = 0; i < hosts_; ++i) {
      const std::string name = fmt::format("service-{}", i);
      services.push_back(Added(Service(name)));
      services.push_back(Added(Endpoints(name, fmt::format("10.{}.{}.1", i / 250 + 1, i % 250))));
    }
    Apply(services);
    return Phase("come", "") && Phase("change", "Random") && Phase("go", std::nullopt);
  }

 private:
  static contour::core::Pipeline::Options Options(const std::string& mode) {
    contour::core::Pipeline::Options options;
    options.listeners.delivery = mode == "classic"   ? contour::envoy::Delivery::kClassic
                                 : mode == "sharded" ? contour::envoy::Delivery::kSharded
                                                     : contour::envoy::Delivery::kShardedHTTPS;
    return options;
  }

  void Apply(const std::vector<api::Change>& changes) {
    snapshot_ = pipeline_.Apply(changes).snapshot;
    server_->Publish(snapshot_);
    shared_.SetTarget(snapshot_);
  }

  // Until every Envoy has everything, with a change of the bystanders' endpoints every 20 ms.
  bool Wait(std::chrono::seconds limit) {
    const auto end = Clock::now() + limit;
    auto next = Clock::now();
    while (shared_.reached < shared_.generation) {
      if (Clock::now() > end) return false;
      if (Clock::now() >= next) {
        next = Clock::now() + kProbeInterval;
        const std::uint64_t change = shared_.published++;
        shared_.published_at[change] = NowNs();
        Apply({Added(
            Endpoints("first", fmt::format("10.9.{}.{}", change / 250 % 250, change % 250 + 1)))});
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
  }

  bool Phase(const std::string& name, const std::optional<std::string>& strategy) {
    std::vector<api::Change> changes;
    for (std::size_t i = 0; i < hosts_; ++i) {
      api::Change change = Added(Root(i, strategy.value_or(""), tls_));
      if (!strategy) change.object = nullptr;
      changes.push_back(std::move(change));
    }
    for (auto& longest : shared_.longest) longest = 0;
    const auto begin = Clock::now();
    const double workers = WorkerSeconds();
    const double process = ProcessSeconds();
    Apply(changes);
    const double derived = std::chrono::duration<double>(Clock::now() - begin).count();
    const double process_derived = ProcessSeconds();
    const bool complete = Wait(kPhaseLimit);
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count() - derived;
    const double used = WorkerSeconds() - workers;
    std::int64_t longest = 0;
    for (const auto& one : shared_.longest) longest = std::max(longest, one.load());
    const double per_host = 1e6 / static_cast<double>(hosts_);
    fmt::print(
        R"({{"mode":"{}","hosts":{},"streams":{},"phase":"{}","complete":{},"derive_s":{:.3f},"wall_s":{:.3f},)"
        R"("worker_cpu_s":{:.3f},"process_cpu_s":{:.3f},"worker_us_per_host_and_stream":{:.2f},)"
        R"("derive_us_per_host":{:.2f},"bystander_max_ms":{:.1f}}})"
        "\n",
        mode_, hosts_, streams_, name, complete, derived, seconds, used,
        ProcessSeconds() - process_derived, used * per_host / static_cast<double>(streams_),
        (process_derived - process) * per_host, static_cast<double>(longest) / 1e6);
    std::fflush(stdout);
    return complete;
  }

  Shared& shared_;
  const std::string mode_;
  const std::size_t hosts_;
  const std::size_t streams_;
  const bool tls_;
  contour::core::Pipeline pipeline_;
  SnapshotPtr snapshot_;
  std::unique_ptr<contour::xds::Server> server_;
};

// Runs a function in a process of its own. True: it ended with 0.
template <typename Function>
pid_t Fork(Function&& run) {
  const pid_t child = fork();
  if (child != 0) return child;
  run();
  std::fflush(stdout);
  _exit(0);
}

bool RunOnce(const std::string& mode, std::size_t hosts, std::size_t streams) {
  void* memory =
      mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return false;
  auto* shared = new (memory) Shared;
  const pid_t children[] = {
      Fork([&] { RunEnvoys(*shared, streams, mode == "sharded-https" ? hosts : 0); }),
      Fork([&] { RunBystanders(*shared); }), Fork([&] {
        Storm storm(*shared, mode, hosts, streams);
        if (!storm.Run()) _exit(1);
      })};
  int status = 0;
  waitpid(children[2], &status, 0);
  shared->quit = true;
  waitpid(children[0], nullptr, 0);
  waitpid(children[1], nullptr, 0);
  munmap(memory, sizeof(Shared));
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::vector<std::string> Split(const std::string& text) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (std::size_t comma = text.find(','); comma != std::string::npos;
       comma = text.find(',', begin)) {
    parts.push_back(text.substr(begin, comma - begin));
    begin = comma + 1;
  }
  parts.push_back(text.substr(begin));
  return parts;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string modes = argc > 1 ? argv[1] : "classic,sharded,sharded-https";
  const std::string sizes = argc > 2 ? argv[2] : "1000,5000,10000,50000";
  const std::size_t streams = argc > 3 ? static_cast<std::size_t>(std::atol(argv[3])) : 20;
  bool complete = true;
  for (const std::string& mode : Split(modes)) {
    for (const std::string& hosts : Split(sizes)) {
      if (RunOnce(mode, static_cast<std::size_t>(std::atol(hosts.c_str())), streams)) continue;
      complete = false;
      break;  // with more hosts it takes longer still
    }
  }
  return complete ? 0 : 1;
}
