// SPDX-License-Identifier: Apache-2.0
// Simulates many Envoys on one control plane and measures when they get changes. Each opens a
// connection of its own, and on it a delta ADS stream or, with --per-type, a stream for each type
// in state of the world. It subscribes as an Envoy does and acks everything. (An Envoy without ADS
// opens one EDS stream for each cluster; a simulated one opens one in all, which costs less.)
//
//   envoys [--per-type] PORT ENVOYS HOSTS [restart | FOLDER KIND PER_SECOND SECONDS]
//
// Waits until one Envoy has HOSTS hosts and assignments, then until all have them. Where the
// program then waits for a line on its standard input, it says so on its standard error:
// - «restart»: the control plane is to be started again meanwhile. The Envoys connect again with
//   the versions that they have. Prints when all had their first answers.
// - A FOLDER of manifests (see fleet.py): changes one file after the other and takes the time until
//   all streams have the change. KIND: `endpoints` writes FOLDER/endpoints-<i>.yaml, `routes`
//   FOLDER/root-<i>.yaml.
// Prints a line of JSON for each of these.

#include <fmt/core.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/service/discovery/v3/discovery.pb.h"

namespace {

using envoy::service::discovery::v3::DeltaDiscoveryRequest;
using envoy::service::discovery::v3::DeltaDiscoveryResponse;
using envoy::service::discovery::v3::DiscoveryRequest;
using envoy::service::discovery::v3::DiscoveryResponse;
using Clock = std::chrono::steady_clock;

constexpr const char* kCDS = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
constexpr const char* kEDS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
constexpr const char* kLDS = "type.googleapis.com/envoy.config.listener.v3.Listener";
constexpr const char* kRDS = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
constexpr const char* kSRDS = "type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration";

// When each change was written, by a text that only it brings, and how many streams have it.
class Changes {
 public:
  explicit Changes(std::size_t streams) : streams_(streams) {}

  void Written(const std::string& marker) {
    const std::lock_guard lock(mutex_);
    pending_[marker] = {Clock::now(), 0};
  }

  // Finds the markers in a resource: texts that begin with `prefix`.
  void Seen(std::string_view bytes, std::string_view prefix) {
    for (std::size_t at = bytes.find(prefix); at != std::string_view::npos;
         at = bytes.find(prefix, at + 1)) {
      std::size_t end = at + prefix.size();
      while (end < bytes.size() && (bytes[end] == '.' || (bytes[end] >= '0' && bytes[end] <= '9')))
        ++end;
      const std::string marker(bytes.substr(at, end - at));
      const std::lock_guard lock(mutex_);
      const auto known = pending_.find(marker);
      if (known == pending_.end()) continue;
      const double ms =
          std::chrono::duration<double, std::milli>(Clock::now() - known->second.written).count();
      if (known->second.seen == 0) first_.push_back(ms);
      if (++known->second.seen < streams_) continue;
      all_.push_back(ms);
      pending_.erase(known);
    }
  }

  std::size_t pending() {
    const std::lock_guard lock(mutex_);
    return pending_.size();
  }

  // The milliseconds until the first and until the last stream had the change.
  std::string Report() {
    const std::lock_guard lock(mutex_);
    return fmt::format(R"("first_stream":{},"all_streams":{},"never_seen":{})", Percentiles(first_),
                       Percentiles(all_), pending_.size());
  }

 private:
  struct Change {
    Clock::time_point written;
    std::size_t seen = 0;
  };

  static std::string Percentiles(std::vector<double> values) {
    if (values.empty()) return "null";
    std::sort(values.begin(), values.end());
    const auto at = [&](double share) {
      return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
    };
    return fmt::format(R"({{"count":{},"p50_ms":{:.2f},"p99_ms":{:.2f},"max_ms":{:.2f}}})",
                       values.size(), at(0.5), at(0.99), values.back());
  }

  const std::size_t streams_;
  std::mutex mutex_;
  std::unordered_map<std::string, Change> pending_;
  std::vector<double> first_;
  std::vector<double> all_;
};

// The fields of a response that every simulated Envoy reads, without a copy of the resources.
struct Envelope {
  std::string type;
  std::string version;  // state of the world
  std::string nonce;
  std::size_t resources = 0;
};

template <typename Response>
Envelope ReadEnvelope(const grpc::Slice& slice) {
  using google::protobuf::internal::WireFormatLite;
  constexpr bool kHasVersion = std::is_same_v<Response, DiscoveryResponse>;
  Envelope envelope;
  google::protobuf::io::CodedInputStream in(slice.begin(), static_cast<int>(slice.size()));
  while (const std::uint32_t tag = in.ReadTag()) {
    const int field = WireFormatLite::GetTagFieldNumber(tag);
    std::string* text = nullptr;
    if (field == Response::kTypeUrlFieldNumber) text = &envelope.type;
    if (field == Response::kNonceFieldNumber) text = &envelope.nonce;
    if (kHasVersion && field == DiscoveryResponse::kVersionInfoFieldNumber)
      text = &envelope.version;
    if (field == Response::kResourcesFieldNumber) ++envelope.resources;
    if (text != nullptr ? !WireFormatLite::ReadString(&in, text)
                        : !WireFormatLite::SkipField(&in, tag))
      break;
  }
  return envelope;
}

// Keeps what the first Envoy was sent. The others are sent the same, so they needn't keep it.
class Content {
 public:
  void Add(const DeltaDiscoveryResponse& response) {
    const std::lock_guard lock(mutex_);
    for (const auto& resource : response.resources()) {
      versions_[response.type_url()].insert_or_assign(resource.name(), resource.version());
      Note(response.type_url(), resource.resource().value());
    }
  }
  void Add(const DiscoveryResponse& response) {
    const std::lock_guard lock(mutex_);
    for (const auto& resource : response.resources()) Note(response.type_url(), resource.value());
  }
  // Keeps the version of the newest response of the type, which state of the world names.
  void SetVersion(const std::string& type, const std::string& version) {
    const std::lock_guard lock(mutex_);
    version_[type] = version;
  }

  // Returns the first delta request of a type. `again`: of an Envoy that has everything.
  std::string DeltaRequest(const std::string& type, bool again) {
    const std::lock_guard lock(mutex_);
    DeltaDiscoveryRequest request;
    request.set_type_url(type);
    for (const std::string& name : Names(type)) request.add_resource_names_subscribe(name);
    if (again)
      request.mutable_initial_resource_versions()->insert(versions_[type].begin(),
                                                          versions_[type].end());
    return request.SerializeAsString();
  }
  // Returns a request of a type in state of the world, but version and nonce: they are added.
  std::string WorldRequest(const std::string& type) {
    const std::lock_guard lock(mutex_);
    DiscoveryRequest request;
    request.set_type_url(type);
    for (const std::string& name : Names(type)) request.add_resource_names(name);
    return request.SerializeAsString();
  }
  std::string Version(const std::string& type) {
    const std::lock_guard lock(mutex_);
    return version_[type];
  }

  const char* RoutesType() {
    const std::lock_guard lock(mutex_);
    return scoped_ ? kSRDS : kRDS;
  }

 private:
  std::set<std::string> Names(const std::string& type) const {
    if (type == kEDS) return assignments_;
    if (type == kRDS) return {"ingress_http"};
    return {};
  }
  void Note(const std::string& type, const std::string& bytes) {
    envoy::config::cluster::v3::Cluster cluster;
    if (type == kCDS && cluster.ParseFromString(bytes) && cluster.has_eds_cluster_config()) {
      const std::string& name = cluster.eds_cluster_config().service_name();
      assignments_.insert(name.empty() ? cluster.name() : name);
    }
    // The listener of plain HTTP says where its routes come from.
    if (type == kLDS && bytes.find("contour.host") != std::string::npos) scoped_ = true;
  }

  std::mutex mutex_;
  std::map<std::string, std::map<std::string, std::string>> versions_;  // by type and name
  std::map<std::string, std::string> version_;                          // by type
  std::set<std::string> assignments_;
  bool scoped_ = false;
};

// The first requests of a type, one copy for all Envoys.
class FirstRequests {
 public:
  FirstRequests(Content& content, bool per_type, bool again) {
    for (const char* type : {kCDS, kEDS, kLDS, kRDS, kSRDS}) {
      requests_.emplace(type, grpc::Slice(per_type ? content.WorldRequest(type)
                                                   : content.DeltaRequest(type, again)));
      if (again) versions_.emplace(type, content.Version(type));
    }
  }
  const grpc::Slice& Of(const std::string& type) const { return requests_.at(type); }
  // Returns the version that an Envoy which has everything names; empty: it has nothing.
  std::string VersionOf(const std::string& type) const {
    const auto found = versions_.find(type);
    return found == versions_.end() ? std::string() : found->second;
  }

 private:
  std::map<std::string, grpc::Slice> requests_;
  std::map<std::string, std::string> versions_;
};

// One gRPC stream. What comes is handed to `handle`, on a thread of gRPC, one at a time.
class Reactor final : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  using Handle = std::function<void(Reactor&, const grpc::Slice&)>;

  Reactor(grpc::GenericStub& stub, const std::string& method, Handle handle)
      : handle_(std::move(handle)) {
    context_.set_wait_for_ready(true);  // a thousand connections in one process take their time
    stub.PrepareBidiStreamingCall(&context_, method, {}, this);
    StartRead(&incoming_);
    StartCall();
  }

  // Sends a message that may be in pieces.
  void Send(std::vector<grpc::Slice> slices) {
    const std::lock_guard lock(mutex_);
    queue_.emplace_back(slices.data(), slices.size());
    if (queue_.size() == 1) StartWrite(&queue_.front());
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    bytes_ += incoming_.Length();
    grpc::Slice slice;
    if (incoming_.DumpToSingleSlice(&slice).ok()) handle_(*this, slice);
    incoming_.Clear();
    StartRead(&incoming_);
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return;
    const std::lock_guard lock(mutex_);
    queue_.pop_front();
    if (!queue_.empty()) StartWrite(&queue_.front());
  }
  void OnDone(const grpc::Status& status) override {
    if (!stopping_) error_ = status.error_message();
    done_ = true;
  }

  void Stop() {
    stopping_ = true;
    context_.TryCancel();
  }
  bool done() const { return done_; }
  std::uint64_t bytes() const { return bytes_; }
  const std::string& error() const { return error_; }

 private:
  const Handle handle_;
  grpc::ClientContext context_;
  grpc::ByteBuffer incoming_;
  std::mutex mutex_;
  std::deque<grpc::ByteBuffer> queue_;  // the first is under way
  std::atomic<std::uint64_t> bytes_ = 0;
  std::atomic<bool> stopping_ = false;
  std::string error_;  // written before `done_`
  std::atomic<bool> done_ = false;
};

// Asks and answers as one Envoy does, by delta on one aggregated stream, or per type in state of
// the world, as the Envoys of Contour 1.33 do.
class Stream {
 public:
  // `first`: nullptr for the Envoy that finds out what there is. `again`: it has everything.
  Stream(grpc::GenericStub& stub, std::size_t number, std::size_t hosts, bool per_type,
         Changes& changes, Content& content, const FirstRequests* first, bool again)
      : stub_(stub),
        number_(number),
        hosts_(hosts),
        per_type_(per_type),
        changes_(changes),
        content_(content),
        first_(first),
        again_(again) {
    if (!per_type_) {
      aggregated_ =
          Open("/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
               [this](Reactor& from, const grpc::Slice& slice) {
                 Handle<DeltaDiscoveryResponse>(from, slice);
               });
    }
    Ask(kCDS);
    if (again) {
      for (const char* type : {kEDS, kLDS}) Ask(type);
      Ask(content_.RoutesType());
    }
  }

  void Stop() {
    ForEach([](Reactor& reactor) { reactor.Stop(); });
  }
  bool complete() const { return assignments_ >= hosts_ && (scopes_ >= hosts_ || routes_); }
  // True if what it asked for by a wildcard was answered: of the rest nothing is sent if it is
  // equal.
  bool answered() const { return clusters_answered_ && listeners_answered_; }
  bool done() {
    bool all = true;
    ForEach([&](const Reactor& reactor) { all = all && reactor.done(); });
    return all;
  }
  std::uint64_t bytes() {
    std::uint64_t sum = 0;
    ForEach([&](const Reactor& reactor) { sum += reactor.bytes(); });
    return sum;
  }
  std::string Error() {
    std::string text = fmt::format("the streams of Envoy {} ended:", number_);
    ForEach([&](const Reactor& reactor) { text += " " + reactor.error(); });
    return text;
  }

 private:
  template <typename Do>
  void ForEach(Do&& action) {
    const std::lock_guard lock(mutex_);
    for (const auto& reactor : reactors_) action(*reactor);
  }
  Reactor* Open(const std::string& method, Reactor::Handle handle) {
    const std::lock_guard lock(mutex_);
    return reactors_.emplace_back(std::make_unique<Reactor>(stub_, method, std::move(handle)))
        .get();
  }

  // Asks for a type for the first time.
  void Ask(const std::string& type) {
    if (per_type_) {
      Reactor* const reactor =
          Open(MethodOf(type), [this](Reactor& from, const grpc::Slice& slice) {
            Handle<DiscoveryResponse>(from, slice);
          });
      DiscoveryRequest rest;
      rest.mutable_node()->set_id(Node());
      if (first_ != nullptr && again_) rest.set_version_info(first_->VersionOf(type));
      reactor->Send({Part(type), grpc::Slice(rest.SerializeAsString())});
      return;
    }
    DeltaDiscoveryRequest node;
    if (type == kCDS) node.mutable_node()->set_id(Node());
    aggregated_->Send({grpc::Slice(node.SerializeAsString()), Part(type)});
  }
  // Returns the part of a request that is the same for all Envoys.
  grpc::Slice Part(const std::string& type) const {
    if (first_ != nullptr) return first_->Of(type);
    return grpc::Slice(per_type_ ? content_.WorldRequest(type)
                                 : content_.DeltaRequest(type, false));
  }
  std::string Node() const { return fmt::format("simulated-{}", number_); }
  static std::string MethodOf(const std::string& type) {
    if (type == kCDS) return "/envoy.service.cluster.v3.ClusterDiscoveryService/StreamClusters";
    if (type == kEDS) return "/envoy.service.endpoint.v3.EndpointDiscoveryService/StreamEndpoints";
    if (type == kLDS) return "/envoy.service.listener.v3.ListenerDiscoveryService/StreamListeners";
    return "/envoy.service.route.v3.RouteDiscoveryService/StreamRoutes";
  }

  void See(const std::string& type, const std::string& bytes) {
    if (type == kEDS) changes_.Seen(bytes, "10.1");
    if (type == kSRDS || type == kRDS) changes_.Seen(bytes, "/change-");
  }
  void SeeAll(const DeltaDiscoveryResponse& response) {
    for (const auto& resource : response.resources())
      See(response.type_url(), resource.resource().value());
  }
  void SeeAll(const DiscoveryResponse& response) {
    for (const auto& resource : response.resources()) See(response.type_url(), resource.value());
  }

  template <typename Response>
  void Handle(Reactor& from, const grpc::Slice& slice) {
    // Big ones are read by the first Envoy only.
    constexpr std::size_t kBig = 64 << 10;
    const Envelope envelope = ReadEnvelope<Response>(slice);
    if (first_ == nullptr || slice.size() < kBig) {
      Response response;
      response.ParseFromArray(slice.begin(), static_cast<int>(slice.size()));
      if (first_ == nullptr) content_.Add(response);
      SeeAll(response);
    }
    if (first_ == nullptr) content_.SetVersion(envelope.type, envelope.version);
    Note(envelope);
    if constexpr (std::is_same_v<Response, DiscoveryResponse>) {
      DiscoveryRequest rest;
      rest.set_version_info(envelope.version);
      rest.set_response_nonce(envelope.nonce);
      from.Send({Part(envelope.type), grpc::Slice(rest.SerializeAsString())});
    } else {
      DeltaDiscoveryRequest acknowledgement;
      acknowledgement.set_type_url(envelope.type);
      acknowledgement.set_response_nonce(envelope.nonce);
      from.Send({grpc::Slice(acknowledgement.SerializeAsString())});
    }
  }
  void Note(const Envelope& envelope) {
    const std::string& type = envelope.type;
    if (type == kEDS) assignments_ += envelope.resources;
    if (type == kSRDS) scopes_ += envelope.resources;
    if (type == kRDS) routes_ = true;
    if (type == kCDS && !clusters_answered_.exchange(true) && !again_) Ask(kEDS);
    // An Envoy asks for listeners once its clusters are warm.
    if (type == kEDS && assignments_ >= hosts_ && !again_ && !listeners_asked_.exchange(true))
      Ask(kLDS);
    if (type == kLDS && !listeners_answered_.exchange(true) && !again_) Ask(content_.RoutesType());
  }

  grpc::GenericStub& stub_;
  const std::size_t number_;
  const std::size_t hosts_;
  const bool per_type_;
  Changes& changes_;
  Content& content_;
  const FirstRequests* const first_;
  const bool again_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Reactor>> reactors_;  // in the order in which they were opened
  Reactor* aggregated_ = nullptr;                   // of `reactors_`; nullptr if per type
  std::atomic<bool> clusters_answered_ = false;
  std::atomic<bool> listeners_asked_ = false;
  std::atomic<bool> listeners_answered_ = false;
  std::atomic<std::size_t> assignments_ = 0;
  std::atomic<std::size_t> scopes_ = 0;
  std::atomic<bool> routes_ = false;
};

// One Envoy: a connection, and streams that are opened again when they end.
class SimulatedEnvoy {
 public:
  SimulatedEnvoy(int port, std::size_t number, std::size_t hosts, bool per_type, Changes& changes,
                 Content& content)
      : number_(number), hosts_(hosts), per_type_(per_type), changes_(changes), content_(content) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a connection of its own
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 500);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
    arguments.SetMaxReceiveMessageSize(-1);
    stub_ = std::make_unique<grpc::GenericStub>(grpc::CreateCustomChannel(
        fmt::format("127.0.0.1:{}", port), grpc::InsecureChannelCredentials(), arguments));
  }

  void Connect(const FirstRequests* first, bool again) {
    stream_ = std::make_unique<Stream>(*stub_, number_, hosts_, per_type_, changes_, content_,
                                       first, again);
  }
  Stream& stream() const { return *stream_; }

 private:
  const std::size_t number_;
  const std::size_t hosts_;
  const bool per_type_;
  Changes& changes_;
  Content& content_;
  std::unique_ptr<grpc::GenericStub> stub_;
  std::unique_ptr<Stream> stream_;
};

template <typename Condition>
bool WaitFor(std::chrono::seconds limit, Condition&& condition) {
  const auto end = Clock::now() + limit;
  while (!condition()) {
    if (Clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

// The file as fleet.py wrote it first, with the marker in place of what it names `{marker}`.
std::string Filled(const std::string& pattern, const std::string& marker) {
  std::string text = pattern;
  for (std::size_t at = text.find("{marker}"); at != std::string::npos;
       at = text.find("{marker}", at)) {
    text.replace(at, 8, marker);
  }
  return text;
}

void Replace(const std::filesystem::path& path, const std::string& text) {
  const std::filesystem::path temporary = path.parent_path() / ".next";
  std::ofstream(temporary) << text;
  std::filesystem::rename(temporary, path);
}

// Writes one file after the other at an even pace.
void Churn(const std::filesystem::path& folder, const std::string& kind, std::size_t hosts,
           double per_second, double seconds, Changes& changes) {
  const bool endpoints = kind == "endpoints";
  const std::string stem = endpoints ? "endpoints-" : "root-";
  std::map<std::size_t, std::string> patterns;
  const auto begin = Clock::now();
  const auto count = static_cast<std::size_t>(per_second * seconds);
  for (std::size_t i = 0; i < count; ++i) {
    std::this_thread::sleep_until(
        begin + std::chrono::duration_cast<Clock::duration>(
                    std::chrono::duration<double>(static_cast<double>(i) / per_second)));
    const std::size_t host = i % hosts;
    std::string& pattern = patterns[host];
    if (pattern.empty()) {
      std::ifstream file(folder.parent_path() / "patterns" / fmt::format("{}{}", stem, host));
      pattern.assign(std::istreambuf_iterator<char>(file), {});
    }
    const std::string marker =
        endpoints ? fmt::format("10.1{}.{}.{}", i / 62500 % 100, i / 250 % 250 + 1, i % 250 + 1)
                  : fmt::format("/change-{}", i);
    changes.Written(marker);
    Replace(folder / fmt::format("{}{}.yaml", stem, host), Filled(pattern, marker));
  }
}

using Envoys = std::vector<std::unique_ptr<SimulatedEnvoy>>;

template <typename Is>
bool All(const Envoys& envoys, Is&& is) {
  return std::all_of(envoys.begin(), envoys.end(), [&](const auto& e) { return is(e->stream()); });
}

double SecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

std::uint64_t BytesOf(const Envoys& envoys) {
  std::uint64_t bytes = 0;
  for (const auto& envoy : envoys) bytes += envoy->stream().bytes();
  return bytes;
}

// Prints that a step is reached, and waits until the caller of the program has taken note.
void Pause(const char* reached) {
  fmt::print(stderr, "{}\n", reached);
  std::string line;
  std::getline(std::cin, line);
}

// The control plane has ended or is about to: opens every stream again until all are answered.
void Reconnect(Envoys& envoys, bool per_type, Content& content) {
  const FirstRequests again(content, per_type, true);
  Pause("ready to reconnect");
  const auto begin = Clock::now();
  const auto is_done = [](Stream& stream) { return stream.done(); };
  WaitFor(std::chrono::seconds(60), [&] { return All(envoys, is_done); });
  const double ended = SecondsSince(begin);
  for (const auto& envoy : envoys) envoy->Connect(&again, true);
  std::uint64_t bytes = 0;  // of streams that ended again, since the server wasn't there yet
  const bool answered = WaitFor(std::chrono::seconds(200), [&] {
    for (const auto& envoy : envoys) {
      if (!envoy->stream().done()) continue;
      bytes += envoy->stream().bytes();
      envoy->Connect(&again, true);
    }
    return All(envoys, [](Stream& stream) { return stream.answered(); });
  });
  fmt::print(R"({{"reconnected":{},"ended_s":{:.2f},"answered_s":{:.2f},"bytes":{}}})"
             "\n",
             answered, ended, SecondsSince(begin), bytes + BytesOf(envoys));
  std::fflush(stdout);
  Pause("reconnected");
}

}  // namespace

int main(int argc, char** argv) {
  const bool per_type = argc > 1 && std::string_view(argv[1]) == "--per-type";
  if (per_type) {
    --argc;
    ++argv;
  }
  const bool restart = argc == 5 && std::string_view(argv[4]) == "restart";
  if (argc != 4 && argc != 8 && !restart) {
    fmt::print(stderr,
               "usage: envoys [--per-type] PORT ENVOYS HOSTS [restart | FOLDER KIND PER_SECOND "
               "SECONDS]\n");
    return 2;
  }
  const int port = std::atoi(argv[1]);
  const auto count = static_cast<std::size_t>(std::atol(argv[2]));
  const auto hosts = static_cast<std::size_t>(std::atol(argv[3]));
  Changes changes(count);
  Content content;
  Envoys envoys;
  for (std::size_t i = 0; i < count; ++i)
    envoys.push_back(std::make_unique<SimulatedEnvoy>(port, i, hosts, per_type, changes, content));
  envoys.front()->Connect(nullptr, false);
  const auto is_complete = [](Stream& stream) { return stream.complete(); };
  WaitFor(std::chrono::seconds(100), [&] { return is_complete(envoys.front()->stream()); });
  const FirstRequests first(content, per_type, false);
  Pause("one is complete");
  const auto begin = Clock::now();
  for (std::size_t i = 1; i < count; ++i) envoys[i]->Connect(&first, false);
  const bool complete =
      WaitFor(std::chrono::seconds(400), [&] { return All(envoys, is_complete); });
  const double seconds = SecondsSince(begin);
  for (const auto& envoy : envoys) {
    if (envoy->stream().done()) fmt::print(stderr, "{}\n", envoy->stream().Error());
  }
  const std::uint64_t first_bytes = BytesOf(envoys);
  Pause("all are complete");
  if (argc == 8) {
    Churn(argv[4], argv[5], hosts, std::atof(argv[6]), std::atof(argv[7]), changes);
    WaitFor(std::chrono::seconds(20), [&] { return changes.pending() == 0; });
  }
  fmt::print(R"({{"complete":{},"connected_s":{:.2f},"first_bytes":{},"bytes":{},{}}})"
             "\n",
             complete, seconds, first_bytes, BytesOf(envoys) - first_bytes, changes.Report());
  std::fflush(stdout);
  if (restart) {
    Reconnect(envoys, per_type, content);
  } else {
    Pause("over");
  }
  for (const auto& envoy : envoys) envoy->stream().Stop();
  WaitFor(std::chrono::seconds(10),
          [&] { return All(envoys, [](Stream& stream) { return stream.done(); }); });
  return complete ? 0 : 1;
}
