// SPDX-License-Identifier: Apache-2.0
// Many simulated Envoys on one control plane, and what they see of changes: each opens a connection
// and a delta ADS stream of its own, subscribes as an Envoy does and acknowledges everything.
//
//   envoys PORT STREAMS HOSTS [FOLDER KIND PER_SECOND SECONDS]
//
// Waits until every stream has HOSTS hosts and assignments. With a FOLDER of manifests (see
// fleet.py) it then changes one file after the other and takes the time until all streams have the
// change. KIND: `endpoints` writes FOLDER/endpoints-<i>.yaml, `routes` FOLDER/root-<i>.yaml. Prints
// a line of JSON.

#include <fmt/core.h>
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
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/service/discovery/v3/discovery.pb.h"

namespace {

using envoy::service::discovery::v3::DeltaDiscoveryRequest;
using envoy::service::discovery::v3::DeltaDiscoveryResponse;
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

  // Looks for the markers in a resource: texts that begin with `prefix`.
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

  // Milliseconds until the first, and until the last stream had the change.
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

class Stream final : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  Stream(int port, std::size_t number, std::size_t hosts, Changes& changes)
      : number_(number), hosts_(hosts), changes_(changes) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a connection of its own
    arguments.SetMaxReceiveMessageSize(-1);
    stub_ = std::make_unique<grpc::GenericStub>(grpc::CreateCustomChannel(
        fmt::format("127.0.0.1:{}", port), grpc::InsecureChannelCredentials(), arguments));
    stub_->PrepareBidiStreamingCall(
        &context_,
        "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources", {},
        this);
    DeltaDiscoveryRequest request;
    request.mutable_node()->set_id(fmt::format("simulated-{}", number));
    request.set_type_url(kCDS);
    Send(request);
    StartRead(&incoming_);
    StartCall();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    bytes_ += incoming_.Length();
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
    const std::lock_guard lock(mutex_);
    queue_.pop_front();
    if (!queue_.empty()) StartWrite(&queue_.front());
  }

  void OnDone(const grpc::Status& status) override {
    if (!stopping_) fmt::print(stderr, "stream {} ended: {}\n", number_, status.error_message());
    done_ = true;
  }

  void Stop() {
    stopping_ = true;
    context_.TryCancel();
  }
  bool complete() const { return assignments_ >= hosts_ && (scopes_ >= hosts_ || routes_); }
  bool done() const { return done_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  void Send(const DeltaDiscoveryRequest& request) {
    grpc::Slice slice(request.SerializeAsString());
    const std::lock_guard lock(mutex_);
    queue_.emplace_back(&slice, 1);
    if (queue_.size() == 1) StartWrite(&queue_.front());
  }

  void Handle(const DeltaDiscoveryResponse& response) {
    const std::string& type = response.type_url();
    DeltaDiscoveryRequest acknowledgement;
    acknowledgement.set_type_url(type);
    acknowledgement.set_response_nonce(response.nonce());
    DeltaDiscoveryRequest endpoints;
    for (const auto& resource : response.resources()) {
      const std::string& bytes = resource.resource().value();
      if (type == kCDS) {
        envoy::config::cluster::v3::Cluster cluster;
        if (cluster.ParseFromString(bytes) && cluster.has_eds_cluster_config()) {
          endpoints.add_resource_names_subscribe(cluster.eds_cluster_config().service_name());
        }
      } else if (type == kEDS) {
        ++assignments_;
        changes_.Seen(bytes, "10.1");
      } else if (type == kSRDS) {
        ++scopes_;
        changes_.Seen(bytes, "/change-");
      } else if (type == kRDS && resource.name() == "ingress_http") {
        routes_ = true;
        changes_.Seen(bytes, "/change-");
      }
    }
    if (type == kCDS) {
      endpoints.set_type_url(kEDS);
      if (endpoints.resource_names_subscribe_size() > 0) Send(endpoints);
      if (!std::exchange(listeners_asked_, true)) {
        DeltaDiscoveryRequest listeners;
        listeners.set_type_url(kLDS);
        Send(listeners);
      }
    }
    if (type == kLDS && !std::exchange(routes_asked_, true)) AskForRoutes(response);
    Send(acknowledgement);
  }

  // By what the listener of plain HTTP says of its routes.
  void AskForRoutes(const DeltaDiscoveryResponse& listeners) {
    DeltaDiscoveryRequest routes;
    routes.set_type_url(kRDS);
    routes.add_resource_names_subscribe("ingress_http");
    for (const auto& listener : listeners.resources()) {
      if (listener.resource().value().find("contour.host") == std::string::npos) continue;
      routes.clear_resource_names_subscribe();
      routes.set_type_url(kSRDS);
    }
    Send(routes);
  }

  const std::size_t number_;
  const std::size_t hosts_;
  Changes& changes_;
  std::unique_ptr<grpc::GenericStub> stub_;
  grpc::ClientContext context_;
  grpc::ByteBuffer incoming_;
  std::mutex mutex_;
  std::deque<grpc::ByteBuffer> queue_;  // the first is under way
  bool listeners_asked_ = false;
  bool routes_asked_ = false;
  std::atomic<std::size_t> assignments_ = 0;
  std::atomic<std::size_t> scopes_ = 0;
  std::atomic<bool> routes_ = false;
  std::atomic<std::uint64_t> bytes_ = 0;
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> done_ = false;
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

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4 && argc != 8) {
    fmt::print(stderr, "usage: envoys PORT STREAMS HOSTS [FOLDER KIND PER_SECOND SECONDS]\n");
    return 2;
  }
  const int port = std::atoi(argv[1]);
  const auto count = static_cast<std::size_t>(std::atol(argv[2]));
  const auto hosts = static_cast<std::size_t>(std::atol(argv[3]));
  Changes changes(count);
  const auto begin = Clock::now();
  std::vector<std::unique_ptr<Stream>> streams;
  streams.reserve(count);
  for (std::size_t i = 0; i < count; ++i)
    streams.push_back(std::make_unique<Stream>(port, i, hosts, changes));
  const auto all = [&](auto&& is) {
    return [&streams, is] {
      return std::all_of(streams.begin(), streams.end(), [&](const auto& s) { return is(*s); });
    };
  };
  const bool complete =
      WaitFor(std::chrono::seconds(400), all([](const Stream& s) { return s.complete(); }));
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  std::uint64_t first_bytes = 0;
  for (const auto& stream : streams) first_bytes += stream->bytes();
  fmt::print(stderr, "ready\n");
  if (argc == 8) {
    std::string line;
    std::getline(std::cin, line);  // the one that started us has read its clocks
    Churn(argv[4], argv[5], hosts, std::atof(argv[6]), std::atof(argv[7]), changes);
    WaitFor(std::chrono::seconds(20), [&] { return changes.pending() == 0; });
  }
  std::uint64_t bytes = 0;
  for (const auto& stream : streams) bytes += stream->bytes();
  fmt::print(R"({{"complete":{},"connected_s":{:.2f},"first_bytes":{},"bytes":{},{}}})"
             "\n",
             complete, seconds, first_bytes, bytes - first_bytes, changes.Report());
  std::fflush(stdout);
  if (argc == 8) {
    std::string line;
    std::getline(std::cin, line);  // and its last look at the connected streams
  }
  for (const auto& stream : streams) stream->Stop();
  WaitFor(std::chrono::seconds(10), all([](const Stream& s) { return s.done(); }));
  return complete ? 0 : 1;
}
