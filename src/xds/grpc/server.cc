// SPDX-License-Identifier: Apache-2.0

#include "xds/grpc/server.h"

#include <fmt/core.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/log.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/status.h"
#include "xds/fleet/dispatcher.h"

namespace contour::xds {
namespace {

constexpr int kReceiveBytes = 64 << 20;  // a reconnecting Envoy names every resource that it has
constexpr int kStreams = 1 << 20;
// ms between the notice that a connection ends and its end. Envoy's streams have no end of their
// own.
constexpr int kAgeGrace = 100;
constexpr int kShortestPingInterval =
    1000;  // ms; Envoys ping every 30 s or so, some of them much faster

struct Method {
  StreamMode mode;
  std::optional<ResourceType> type;  // of a service per type
};

// Path of each streaming method → what it serves.
const std::map<std::string, Method, std::less<>>& Methods() {
  static const auto* const methods = [] {
    auto* made = new std::map<std::string, Method, std::less<>>;
    const std::string ads = "/envoy.service.discovery.v3.AggregatedDiscoveryService/";
    made->emplace(ads + "StreamAggregatedResources",
                  Method{StreamMode::kAggregatedStateOfTheWorld, {}});
    made->emplace(ads + "DeltaAggregatedResources", Method{StreamMode::kAggregatedDelta, {}});
    for (const TypeInfo& info : kTypes) {
      made->emplace(fmt::format("/{}/Stream{}", info.service, info.method),
                    Method{StreamMode::kStateOfTheWorld, info.type});
      made->emplace(fmt::format("/{}/Delta{}", info.service, info.method),
                    Method{StreamMode::kDelta, info.type});
    }
    return made;
  }();
  return *methods;
}

grpc::Status ToGrpc(const absl::Status& status) {
  return {static_cast<grpc::StatusCode>(status.code()), std::string(Message(status))};
}

// Returns the slices of the payload, which are kept alive by it.
grpc::ByteBuffer ToByteBuffer(Payload payload) {
  std::vector<grpc::Slice> slices;
  slices.reserve(payload.slices.size());
  for (Slice& slice : payload.slices) {
    auto* owner = new std::shared_ptr<const void>(std::move(slice.owner));
    slices.emplace_back(
        const_cast<char*>(slice.bytes.data()), slice.bytes.size(),
        [](void* kept) { delete static_cast<std::shared_ptr<const void>*>(kept); }, owner);
  }
  return {slices.data(), slices.size()};
}

std::string ToString(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (!buffer.Dump(&slices).ok()) return bytes;
  bytes.reserve(buffer.Length());
  for (const grpc::Slice& slice : slices)
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return bytes;
}

// A stream. Reads and writes are started by the dispatcher; either side may end it first.
// gRPC aborts on a second Start before the first is done and on anything after Finish, hence the
// flag.
class Reactor final : public grpc::ServerGenericBidiReactor, public Sink {
 public:
  Reactor(Dispatcher& dispatcher, const Method& method, const std::string& peer)
      : dispatcher_(dispatcher),
        connection_(dispatcher.Open(this, method.mode, method.type, peer)) {
    if (!dispatcher_.Start(connection_)) {
      End({grpc::StatusCode::UNAVAILABLE, "the xDS server is stopping"});
    }
  }

  // Sink.
  void Read() override ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    if (!finished_) StartRead(&request_);
  }
  void Write(Payload payload) override ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    if (finished_) return;
    response_ = ToByteBuffer(std::move(payload));
    StartWrite(&response_);
  }
  void Finish(absl::Status status) override { End(ToGrpc(status)); }

  // gRPC.
  void OnReadDone(bool ok) override {
    if (!ok) {
      End(grpc::Status::OK);
      return;
    }
    std::string bytes = ToString(request_);
    request_.Clear();
    dispatcher_.OnRequest(connection_, std::move(bytes));
  }
  void OnWriteDone(bool ok) override {
    if (!ok) {
      End(grpc::Status::OK);
      return;
    }
    response_.Clear();
    dispatcher_.OnWritten(connection_);
  }
  void OnCancel() override { End(grpc::Status::CANCELLED); }
  void OnDone() override {
    dispatcher_.Close(connection_);
    delete this;
  }

 private:
  void End(const grpc::Status& status) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    if (!std::exchange(finished_, true)) grpc::ServerGenericBidiReactor::Finish(status);
  }

  Dispatcher& dispatcher_;
  const Dispatcher::ConnectionPtr connection_;
  Mutex mutex_;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::ByteBuffer request_;   // gRPC's between StartRead and OnReadDone
  grpc::ByteBuffer response_;  // gRPC's between StartWrite and OnWriteDone
};

// Ends calls of methods that we don't have (Fetch*).
class Unimplemented final : public grpc::ServerGenericBidiReactor {
 public:
  explicit Unimplemented(const std::string& method) {
    Finish({grpc::StatusCode::UNIMPLEMENTED, fmt::format("{} unimplemented", method)});
  }
  void OnDone() override { delete this; }
};

class Service final : public grpc::CallbackGenericService {
 public:
  explicit Service(Dispatcher& dispatcher) : dispatcher_(dispatcher) {}

  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    const auto method = Methods().find(context->method());
    if (method == Methods().end()) return new Unimplemented(context->method());
    return new Reactor(dispatcher_, method->second, context->peer());
  }

 private:
  Dispatcher& dispatcher_;
};

// Holds the keys that handshakes use. The server's owner sets them, gRPC's threads read them.
class KeyHolder {
 public:
  void Set(TLSKeysPtr keys) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    keys_ = std::move(keys);
  }
  TLSKeysPtr Get() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    return keys_;
  }

 private:
  mutable Mutex mutex_;
  TLSKeysPtr keys_ ABSL_GUARDED_BY(mutex_);
};

// gRPC's TLS with keys that are asked for at each handshake. Its credentials that watch files take
// over whatever they find there, keys that don't match too. One object serves one grpc::Server and
// outlives it.
class TLSCredentials final : public grpc::ServerCredentials {
 public:
  explicit TLSCredentials(const KeyHolder& keys)
      : keys_(keys),
        credentials_(grpc_ssl_server_credentials_create_with_options(
            grpc_ssl_server_credentials_create_options_using_config_fetcher(
                GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY, &Fetch, this))) {}
  ~TLSCredentials() override { grpc_server_credentials_release(credentials_); }
  TLSCredentials(const TLSCredentials&) = delete;
  TLSCredentials& operator=(const TLSCredentials&) = delete;

  void SetAuthMetadataProcessor(
      const std::shared_ptr<grpc::AuthMetadataProcessor>& /*processor*/) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  // gRPC calls it under a lock of its own, at the start of the server and of each handshake.
  static grpc_ssl_certificate_config_reload_status Fetch(
      void* self, grpc_ssl_server_certificate_config** config) {
    auto* const credentials = static_cast<TLSCredentials*>(self);
    TLSKeysPtr keys = credentials->keys_.Get();
    if (keys == nullptr) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_FAIL;
    if (keys == credentials->given_) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    const grpc_ssl_pem_key_cert_pair pair = {keys->key.c_str(), keys->certificate.c_str()};
    *config = grpc_ssl_server_certificate_config_create(keys->client_ca.c_str(), &pair, 1);
    credentials->given_ = std::move(keys);
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  const KeyHolder& keys_;
  TLSKeysPtr given_;  // the keys that gRPC has
  grpc_server_credentials* const credentials_;
};

// Counts the lines of each place in gRPC's code, so that a port scan or an Envoy with a wrong
// certificate doesn't fill the log.
class GrpcLog {
 public:
  void SetPause(std::chrono::milliseconds pause) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    pause_ = pause;
  }
  void Write(const gpr_log_func_args& line) ABSL_LOCKS_EXCLUDED(mutex_) {
    const std::string_view path = line.file;
    const std::string place =
        fmt::format("{}:{}", path.substr(path.rfind('/') + 1), line.line);  // npos + 1 is 0
    const std::optional<std::uint64_t> left_out = Count(place);
    if (!left_out) return;
    log::Write(LevelOf(line.severity), "grpc", line.message,
               {{"place", place}, {"left_out", *left_out}});
  }

 private:
  struct Place {
    std::chrono::steady_clock::time_point last;
    std::uint64_t left_out = 0;
  };

  static log::Level LevelOf(gpr_log_severity severity) {
    // Its errors are, as a rule, those of a peer: a handshake that failed, a broken frame.
    if (severity == GPR_LOG_SEVERITY_ERROR) return log::Level::kWarning;
    return severity == GPR_LOG_SEVERITY_INFO ? log::Level::kInfo : log::Level::kDebug;
  }

  // Returns how many lines were left out before this one; nullopt: this one is left out too.
  std::optional<std::uint64_t> Count(const std::string& place) ABSL_LOCKS_EXCLUDED(mutex_) {
    const auto now = std::chrono::steady_clock::now();
    const MutexLock lock(mutex_);
    const auto [entry, is_new] = places_.try_emplace(place, Place{now, 0});
    if (is_new) return 0;
    Place& known = entry->second;
    if (now - known.last < pause_) {
      ++known.left_out;
      return std::nullopt;
    }
    known.last = now;
    return std::exchange(known.left_out, 0);
  }

  Mutex mutex_;
  std::chrono::milliseconds pause_ ABSL_GUARDED_BY(mutex_){0};
  std::map<std::string, Place> places_ ABSL_GUARDED_BY(mutex_);
};

std::string HostPort(const std::string& address, int port) {
  return address.find(':') == std::string::npos ? fmt::format("{}:{}", address, port)
                                                : fmt::format("[{}]:{}", address, port);
}

std::size_t Workers(std::size_t wanted) {
  return wanted > 0 ? wanted
                    : std::clamp<std::size_t>(std::thread::hardware_concurrency() / 2, 1, 8);
}

// The log names so many resources of a NACKed response.
constexpr std::size_t kLoggedNames = 10;

// How long what a process before this one served last is kept for the port to open.
constexpr std::chrono::minutes kPastTime{10};

void LogRejection(const Rejection& rejection) {
  std::string names;
  for (std::size_t i = 0; i < std::min(rejection.names.size(), kLoggedNames); ++i)
    names += (names.empty() ? "" : ",") + rejection.names[i];
  if (rejection.names.size() > kLoggedNames)
    names += fmt::format(" and {} more", rejection.names.size() - kLoggedNames);
  log::Error("xds", "Envoy rejected a response",
             {{"type", Info(rejection.type).name},
              {"node", rejection.node_id},
              {"peer", rejection.peer},
              {"error", rejection.error_message},
              {"names", names}});
}

void LogNodeFault(const NodeFault& fault) {
  const std::string_view text = fault.ends ? "Envoy takes the resource that its node could not take"
                                           : "Envoy can't take a resource because of its node";
  log::Warning("xds", text,
               {{"type", Info(fault.key.type).name},
                {"resource", fault.key.resource},
                {"node", fault.node_id},
                {"peer", fault.peer},
                {"error", fault.error_message}});
}

void LogQuarantine(std::string_view text, const QuarantineView& view) {
  log::Warning("xds", text,
               {{"type", Info(view.key.type).name},
                {"resource", view.key.resource},
                {"part", view.key.part.value_or("")},
                {"version", view.version},
                {"kept_from", view.reach == Reach::kFleet ? "all Envoys" : "this node's Envoys"},
                {"replaced", view.replaced ? "by the last good content" : "by nothing"},
                {"node", view.node_id},
                {"peer", view.peer},
                {"error", view.error_message}});
}

}  // namespace

void LogThroughOurs(std::chrono::milliseconds pause) {
  static auto* const written = new GrpcLog;  // gRPC's threads may log until the process has ended
  written->SetPause(pause);
  gpr_set_log_function([](gpr_log_func_args* line) { written->Write(*line); });
}

class Server::Implementation {
 public:
  explicit Implementation(Options options) : options_(std::move(options)) {}

  absl::StatusOr<int> Start() {
    const MutexLock lock(mutex_);
    const std::string listen = HostPort(options_.address, options_.port);
    if (server_ != nullptr) return FailedPrecondition("listen {}: the server is running", listen);
    if (options_.tls && keys_.Get() == nullptr) {
      return FailedPrecondition("listen {}: TLS has no certificate and key yet", listen);
    }
    std::shared_ptr<grpc::ServerCredentials> credentials =
        options_.tls ? std::make_shared<TLSCredentials>(keys_) : grpc::InsecureServerCredentials();
    if (std::chrono::steady_clock::now() >= past_until_) past_.reset();
    auto dispatcher = std::make_unique<Dispatcher>(MakeDispatcherOptions(), past_);
    if (snapshot_ != nullptr) dispatcher->Publish(snapshot_);
    auto service = std::make_unique<Service>(*dispatcher);

    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort(listen, credentials, &port);
    builder.RegisterCallbackGenericService(service.get());
    builder.SetMaxReceiveMessageSize(kReceiveBytes);
    SetChannelArguments(builder);
    std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    if (server == nullptr || port == 0) {
      return Unavailable("listen {}: the address can't be bound (is the port taken?)", listen);
    }
    dispatcher_ = std::move(dispatcher);
    service_ = std::move(service);
    credentials_ = std::move(credentials);
    server_ = std::move(server);
    past_.reset();
    return port;
  }

  void SetTLS(TLSKeysPtr keys) { keys_.Set(std::move(keys)); }

  void Remember(SnapshotPtr past) {
    const MutexLock lock(mutex_);
    past_ = std::move(past);
  }

  void Publish(SnapshotPtr snapshot) {
    const MutexLock lock(mutex_);
    if (past_ != nullptr && snapshot_ == nullptr) {
      past_ = ShareContent(*past_, snapshot);
      past_until_ = std::chrono::steady_clock::now() + kPastTime;
    }
    snapshot_ = std::move(snapshot);
    if (dispatcher_ != nullptr) dispatcher_->Publish(snapshot_);
  }

  void Stop(std::chrono::milliseconds deadline, std::chrono::milliseconds spread) {
    std::unique_ptr<grpc::Server> server;
    Dispatcher* dispatcher = nullptr;
    {
      const MutexLock lock(mutex_);
      if (server_ == nullptr) return;
      server = std::move(server_);
      dispatcher = dispatcher_.get();
    }
    // Shutdown alone would wait for streams that nobody ends; it returns when every reactor is
    // done.
    std::thread ender([&] { dispatcher->Stop(spread); });
    server->Shutdown(std::chrono::system_clock::now() + spread + deadline);
    ender.join();
    server.reset();
    std::unique_ptr<Service> service;
    std::unique_ptr<Dispatcher> ended;
    {
      const MutexLock lock(mutex_);
      retired_ += dispatcher_->GetMetrics();
      retired_.quarantined = retired_.quarantined_fleet = 0;  // ended with it
      credentials_.reset();
      service = std::move(service_);
      ended = std::move(dispatcher_);
    }
    // Its workers may be busy still. Nobody is to wait for them with the lock.
    service.reset();
    ended.reset();
    if (options_.follow) options_.follow({});  // the quarantine has ended with it
  }

  Metrics GetMetrics() const {
    const MutexLock lock(mutex_);
    Metrics metrics = retired_;
    if (dispatcher_ != nullptr) metrics += dispatcher_->GetMetrics();
    return metrics;
  }

  // nullptr: the server isn't started.
  std::shared_ptr<SessionInquiry> Ask(const std::function<std::unique_ptr<SessionQuestion>()>& make,
                                      std::size_t& workers) const {
    const MutexLock lock(mutex_);
    if (dispatcher_ == nullptr) return nullptr;
    workers = dispatcher_->workers();
    return dispatcher_->Ask(make);
  }

  SessionViews Sessions(const ViewFilter& filter, std::chrono::milliseconds patience) const {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    std::size_t workers = 0;
    const auto inquiry = Ask([&] { return std::make_unique<ViewQuestion>(filter); }, workers);
    if (inquiry == nullptr) return {};
    return ViewQuestion::Merge(inquiry->Await(deadline), filter, workers);
  }

  FleetFates Fates(std::vector<ResourceQuestion> resources,
                   std::chrono::milliseconds patience) const {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    const auto asked = std::make_shared<const std::vector<ResourceQuestion>>(std::move(resources));
    std::size_t workers = 0;
    const auto inquiry = Ask([&] { return std::make_unique<FateQuestion>(asked); }, workers);
    return FateQuestion::Merge(
        inquiry == nullptr ? SessionInquiry::Answers() : inquiry->Await(deadline), asked->size(),
        workers);
  }

  std::vector<QuarantineView> Quarantined() const {
    const MutexLock lock(mutex_);
    return dispatcher_ != nullptr ? dispatcher_->Quarantined() : std::vector<QuarantineView>();
  }

 private:
  Dispatcher::Options MakeDispatcherOptions() const {
    Dispatcher::Options options;
    options.warm_timeout = options_.warm_timeout;
    options.workers = Workers(options_.workers);
    options.adapt = options_.adapt;
    options.on_rejection = [report = options_.on_rejection](const Rejection& rejection) {
      LogRejection(rejection);
      if (report) report(rejection);
    };
    options.quarantine.on_quarantine = [report =
                                            options_.on_quarantine](const QuarantineView& view) {
      LogQuarantine("content that Envoy refuses is quarantined", view);
      if (report) report(view);
    };
    options.quarantine.on_release = [report = options_.on_release](const QuarantineView& view) {
      LogQuarantine("content that Envoy refused is gone, or taken by another Envoy", view);
      if (report) report(view);
    };
    options.on_node_fault = LogNodeFault;
    options.follow = options_.follow;
    return options;
  }

  void SetChannelArguments(grpc::ServerBuilder& builder) const {
    // A second process must not share the port.
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreams);
    // This leaves what isn't read yet with the Envoy: gRPC would otherwise widen the window of each
    // connection to megabytes.
    builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS,
                               static_cast<int>(options_.keepalive_time.count()));
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                               static_cast<int>(options_.keepalive_timeout.count()));
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                               kShortestPingInterval);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
    builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                               static_cast<int>(options_.handshake_timeout.count()));
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS,
                               static_cast<int>(options_.idle_timeout.count()));
    if (options_.connection_age.count() > 0) {
      // gRPC adds the jitter, and ends the streams of the connection after the grace.
      builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                                 static_cast<int>(options_.connection_age.count()));
      builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, kAgeGrace);
    }
  }

  const Options options_;
  KeyHolder keys_;
  mutable Mutex mutex_;
  SnapshotPtr snapshot_ ABSL_GUARDED_BY(mutex_);
  SnapshotPtr past_ ABSL_GUARDED_BY(mutex_);  // for the first dispatcher; may be nullptr
  std::chrono::steady_clock::time_point past_until_ ABSL_GUARDED_BY(mutex_);
  Metrics retired_ ABSL_GUARDED_BY(mutex_);  // of servers before this one
  // From here on in the order of construction.
  std::unique_ptr<Dispatcher> dispatcher_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<Service> service_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<grpc::ServerCredentials> credentials_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<grpc::Server> server_ ABSL_GUARDED_BY(mutex_);
};

Server::Server(Options options)
    : implementation_(std::make_unique<Implementation>(std::move(options))) {}

Server::~Server() { Stop(std::chrono::milliseconds(0)); }

absl::StatusOr<int> Server::Start() { return implementation_->Start(); }

void Server::SetTLS(TLSKeysPtr keys) { implementation_->SetTLS(std::move(keys)); }

void Server::Remember(SnapshotPtr past) { implementation_->Remember(std::move(past)); }

void Server::Publish(SnapshotPtr snapshot) { implementation_->Publish(std::move(snapshot)); }

void Server::Stop(std::chrono::milliseconds deadline, std::chrono::milliseconds spread) {
  implementation_->Stop(deadline, spread);
}

Metrics Server::GetMetrics() const { return implementation_->GetMetrics(); }

SessionViews Server::Sessions(const ViewFilter& filter, std::chrono::milliseconds patience) const {
  return implementation_->Sessions(filter, patience);
}

FleetFates Server::Fates(std::vector<ResourceQuestion> resources,
                         std::chrono::milliseconds patience) const {
  return implementation_->Fates(std::move(resources), patience);
}

std::vector<QuarantineView> Server::Quarantined() const { return implementation_->Quarantined(); }

}  // namespace contour::xds
