// SPDX-License-Identifier: Apache-2.0

#include "xds/grpc/server.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/status.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/service/cluster/v3/cds.grpc.pb.h"
#include "envoy/service/discovery/v3/ads.grpc.pb.h"
#include "envoy/service/endpoint/v3/eds.grpc.pb.h"
#include "envoy/service/listener/v3/lds.grpc.pb.h"
#include "envoy/service/route/v3/rds.grpc.pb.h"
#include "envoy/service/route/v3/srds.grpc.pb.h"
#include "envoy/service/secret/v3/sds.grpc.pb.h"

namespace contour::xds {
namespace {

using namespace std::chrono_literals;
using ::envoy::service::discovery::v3::AggregatedDiscoveryService;
using ::envoy::service::discovery::v3::DeltaDiscoveryRequest;
using ::envoy::service::discovery::v3::DeltaDiscoveryResponse;
using ::envoy::service::discovery::v3::DiscoveryRequest;
using ::envoy::service::discovery::v3::DiscoveryResponse;
using ::testing::HasSubstr;

Resource MakeCluster(const std::string& name, const std::string& alternative = "") {
  ::envoy::config::cluster::v3::Cluster message;
  message.set_name(name);
  message.set_alt_stat_name(alternative);
  Resource cluster;
  cluster.name = name;
  cluster.bytes = message.SerializeAsString();
  return cluster;
}

SnapshotPtr Clusters(int count, const std::string& alternative = "") {
  SnapshotEditor editor(nullptr);
  for (int i = 0; i < count; ++i) {
    editor.Set(ResourceType::kCluster, MakeCluster("c" + std::to_string(i), alternative));
  }
  return editor.Commit();
}

std::string Url(ResourceType type) { return std::string(Info(type).url); }

// A connection of its own.
struct Client {
  explicit Client(int port,
                  const std::shared_ptr<grpc::ChannelCredentials>& credentials =
                      grpc::InsecureChannelCredentials(),
                  grpc::ChannelArguments arguments = {}) {
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetMaxReceiveMessageSize(-1);
    channel =
        grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(port), credentials, arguments);
    context.set_deadline(std::chrono::system_clock::now() + 30s);
  }
  std::shared_ptr<grpc::Channel> channel;
  grpc::ClientContext context;
};

using DeltaStream = grpc::ClientReaderWriter<DeltaDiscoveryRequest, DeltaDiscoveryResponse>;
using WorldStream = grpc::ClientReaderWriter<DiscoveryRequest, DiscoveryResponse>;

std::unique_ptr<DeltaStream> OpenDelta(Client& client) {
  return AggregatedDiscoveryService::NewStub(client.channel)
      ->DeltaAggregatedResources(&client.context);
}

DeltaDiscoveryRequest Subscription(ResourceType type, const std::string& node_id = "envoy-1") {
  DeltaDiscoveryRequest request;
  request.mutable_node()->set_id(node_id);
  request.set_type_url(Url(type));
  return request;
}

DeltaDiscoveryRequest Acknowledgement(const DeltaDiscoveryResponse& response) {
  DeltaDiscoveryRequest request;
  request.set_type_url(response.type_url());
  request.set_response_nonce(response.nonce());
  return request;
}

Server::Options Plain() {
  Server::Options options;
  options.port = 0;
  return options;
}

int MustStart(Server& server) {
  const absl::StatusOr<int> port = server.Start();
  EXPECT_TRUE(port.ok()) << port.status();
  return port.value_or(0);
}

TEST(Server, DeltaAds) {
  Server server(Plain());
  server.Publish(Clusters(2));
  Client client(MustStart(server));
  auto stream = OpenDelta(client);
  ASSERT_TRUE(stream->Write(Subscription(ResourceType::kCluster)));
  DeltaDiscoveryResponse response;
  ASSERT_TRUE(stream->Read(&response));
  ASSERT_EQ(response.resources_size(), 2);
  EXPECT_EQ(response.resources(0).name(), "c0");
  ::envoy::config::cluster::v3::Cluster cluster;
  ASSERT_TRUE(response.resources(0).resource().UnpackTo(&cluster));
  EXPECT_EQ(cluster.name(), "c0");

  server.Publish(Clusters(3));
  ASSERT_TRUE(stream->Read(&response));
  ASSERT_EQ(response.resources_size(), 1);
  EXPECT_EQ(response.resources(0).name(), "c2");

  const std::vector<SessionView> sessions = server.Sessions(ViewFilter::Everything(), 5s).envoys;
  ASSERT_EQ(sessions.size(), 1U);
  EXPECT_EQ(sessions[0].node_id, "envoy-1");
  EXPECT_EQ(sessions[0].entries.size(), 3U);
  server.Stop(5s);
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(server.GetMetrics().counters.responses[Index(ResourceType::kCluster)], 2U)
      << "counted on after the stop";
}

TEST(Server, StateOfTheWorldAds) {
  Server server(Plain());
  server.Publish(Clusters(2));
  Client client(MustStart(server));
  auto stream = AggregatedDiscoveryService::NewStub(client.channel)
                    ->StreamAggregatedResources(&client.context);
  DiscoveryRequest request;
  request.mutable_node()->set_id("envoy-1");
  request.set_type_url(Url(ResourceType::kCluster));
  ASSERT_TRUE(stream->Write(request));
  DiscoveryResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.resources_size(), 2);
  request.set_version_info(response.version_info());
  request.set_response_nonce(response.nonce());
  ASSERT_TRUE(stream->Write(request));
  server.Publish(Clusters(3));
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.resources_size(), 3);
  EXPECT_NE(response.version_info(), request.version_info());
  server.Stop(5s);
}

TEST(Server, AnEnvoyOfAProcessBeforeKeepsTheClustersThatItMayStillUse) {
  const SnapshotPtr past = Clusters(3);
  Server server(Plain());
  server.Remember(past);
  server.Publish(Clusters(2));
  Client client(MustStart(server));
  auto stream = AggregatedDiscoveryService::NewStub(client.channel)
                    ->StreamAggregatedResources(&client.context);
  DiscoveryRequest request;
  request.mutable_node()->set_id("envoy-1");
  request.set_type_url(Url(ResourceType::kCluster));
  request.set_version_info(past->table(ResourceType::kCluster).version().Hex());
  ASSERT_TRUE(stream->Write(request));
  DiscoveryResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.resources_size(), 3) << "its routes are yet to be named";
  server.Stop(5s);
}

// Only clusters and listeners say where others come from.
std::string Adapted(const TypeInfo& info, const std::string& mark) {
  return info.type == ResourceType::kCluster || info.type == ResourceType::kListener ? mark : "";
}

TEST(Server, ServicesPerType) {
  SnapshotEditor editor(nullptr);
  for (const TypeInfo& info : kTypes)
    editor.Set(info.type, {.name = "a", .bytes = std::string("\n\1a")});
  Server::Options options = Plain();
  options.adapt = [](ResourceType, std::string_view bytes, StreamMode mode) {
    return std::string(bytes) + (mode == StreamMode::kDelta ? "delta" : "world");
  };
  Server server(options);
  server.Publish(editor.Commit());
  const int port = MustStart(server);
  const auto world = [&](const TypeInfo& info, const auto& open) {
    Client client(port);
    std::unique_ptr<WorldStream> stream = open(client);
    DiscoveryRequest request;
    request.add_resource_names("a");  // and no type URL
    ASSERT_TRUE(stream->Write(request));
    DiscoveryResponse response;
    ASSERT_TRUE(stream->Read(&response)) << info.name;
    EXPECT_EQ(response.type_url(), info.url);
    ASSERT_EQ(response.resources_size(), 1);
    EXPECT_EQ(response.resources(0).value(), "\n\1a" + Adapted(info, "world"));
  };
  const auto delta = [&](const TypeInfo& info, const auto& open) {
    Client client(port);
    std::unique_ptr<DeltaStream> stream = open(client);
    ::envoy::service::discovery::v3::DeltaDiscoveryRequest request;
    if (info.type == ResourceType::kSecret) request.add_resource_names_subscribe("a");  // never all
    ASSERT_TRUE(stream->Write(request));
    DeltaDiscoveryResponse response;
    ASSERT_TRUE(stream->Read(&response)) << info.name;
    EXPECT_EQ(response.type_url(), info.url);
    ASSERT_EQ(response.resources_size(), 1);
    EXPECT_EQ(response.resources(0).resource().value(), "\n\1a" + Adapted(info, "delta"));
  };
  using namespace ::envoy::service;
  const TypeInfo& cds = Info(ResourceType::kCluster);
  const TypeInfo& eds = Info(ResourceType::kEndpoints);
  const TypeInfo& lds = Info(ResourceType::kListener);
  const TypeInfo& rds = Info(ResourceType::kRoutes);
  const TypeInfo& sds = Info(ResourceType::kSecret);
  const TypeInfo& srds = Info(ResourceType::kScopedRoutes);
  world(cds, [](Client& c) {
    return cluster::v3::ClusterDiscoveryService::NewStub(c.channel)->StreamClusters(&c.context);
  });
  world(eds, [](Client& c) {
    return endpoint::v3::EndpointDiscoveryService::NewStub(c.channel)->StreamEndpoints(&c.context);
  });
  world(lds, [](Client& c) {
    return listener::v3::ListenerDiscoveryService::NewStub(c.channel)->StreamListeners(&c.context);
  });
  world(rds, [](Client& c) {
    return route::v3::RouteDiscoveryService::NewStub(c.channel)->StreamRoutes(&c.context);
  });
  world(sds, [](Client& c) {
    return secret::v3::SecretDiscoveryService::NewStub(c.channel)->StreamSecrets(&c.context);
  });
  world(srds, [](Client& c) {
    return route::v3::ScopedRoutesDiscoveryService::NewStub(c.channel)->StreamScopedRoutes(
        &c.context);
  });
  delta(srds, [](Client& c) {
    return route::v3::ScopedRoutesDiscoveryService::NewStub(c.channel)->DeltaScopedRoutes(
        &c.context);
  });
  delta(cds, [](Client& c) {
    return cluster::v3::ClusterDiscoveryService::NewStub(c.channel)->DeltaClusters(&c.context);
  });
  delta(eds, [](Client& c) {
    return endpoint::v3::EndpointDiscoveryService::NewStub(c.channel)->DeltaEndpoints(&c.context);
  });
  delta(lds, [](Client& c) {
    return listener::v3::ListenerDiscoveryService::NewStub(c.channel)->DeltaListeners(&c.context);
  });
  delta(rds, [](Client& c) {
    return route::v3::RouteDiscoveryService::NewStub(c.channel)->DeltaRoutes(&c.context);
  });
  delta(sds, [](Client& c) {
    return secret::v3::SecretDiscoveryService::NewStub(c.channel)->DeltaSecrets(&c.context);
  });
  server.Stop(5s);
}

TEST(Server, StreamsPerTypeOfOneConnectionAreOneEnvoy) {
  Server server(Plain());
  server.Publish(Clusters(1));
  const int port = MustStart(server);
  Client one(port);
  Client other(port);
  grpc::ClientContext second;
  using ::envoy::service::cluster::v3::ClusterDiscoveryService;
  using ::envoy::service::route::v3::RouteDiscoveryService;
  std::vector<std::unique_ptr<DeltaStream>> streams;
  streams.push_back(ClusterDiscoveryService::NewStub(one.channel)->DeltaClusters(&one.context));
  streams.push_back(RouteDiscoveryService::NewStub(one.channel)->DeltaRoutes(&second));
  streams.push_back(ClusterDiscoveryService::NewStub(other.channel)->DeltaClusters(&other.context));
  for (auto& stream : streams) {
    DeltaDiscoveryRequest request;
    request.mutable_node()->set_id("envoy-1");
    ASSERT_TRUE(stream->Write(request));
    DeltaDiscoveryResponse response;
    ASSERT_TRUE(stream->Read(&response));
  }
  EXPECT_EQ(server.GetMetrics().streams, 3U);
  EXPECT_EQ(server.GetMetrics().sessions, 2U);
  server.Stop(5s);
}

TEST(Server, RefusesWhatItDoesNotServe) {
  Server server(Plain());
  server.Publish(Clusters(1));
  const int port = MustStart(server);
  {
    Client client(port);
    auto stream = OpenDelta(client);
    DeltaDiscoveryRequest request;
    request.set_type_url("type.googleapis.com/envoy.api.v2.Cluster");
    stream->Write(request);
    DeltaDiscoveryResponse response;
    ASSERT_TRUE(stream->Read(&response)) << "the stream goes on";
    EXPECT_EQ(response.type_url(), request.type_url());
    EXPECT_EQ(response.resources_size(), 0);
    EXPECT_FALSE(response.nonce().empty());
    client.context.TryCancel();
  }
  {
    Client client(port);
    DiscoveryResponse response;
    const grpc::Status status =
        ::envoy::service::cluster::v3::ClusterDiscoveryService::NewStub(client.channel)
            ->FetchClusters(&client.context, {}, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  }
  server.Stop(5s);
}

TEST(Server, AClientThatClosesItsSideEndsWell) {
  Server server(Plain());
  server.Publish(Clusters(1));
  Client client(MustStart(server));
  auto stream = OpenDelta(client);
  ASSERT_TRUE(stream->Write(Subscription(ResourceType::kCluster)));
  DeltaDiscoveryResponse response;
  ASSERT_TRUE(stream->Read(&response));
  stream->WritesDone();
  while (stream->Read(&response)) {
  }
  EXPECT_TRUE(stream->Finish().ok());
  for (int i = 0; i < 1000 && server.GetMetrics().streams > 0; ++i)
    std::this_thread::sleep_for(5ms);
  EXPECT_EQ(server.GetMetrics().streams, 0U);
  server.Stop(5s);
}

TEST(Server, ATakenPortIsAnError) {
  Server first(Plain());
  const int port = MustStart(first);
  Server::Options options = Plain();
  options.port = port;
  Server second(options);
  const absl::Status status = second.Start().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(Message(status)), HasSubstr("listen 127.0.0.1:" + std::to_string(port)));
  EXPECT_EQ(first.Start().status().code(), absl::StatusCode::kFailedPrecondition);
  first.Stop(1s);
  EXPECT_TRUE(second.Start().ok()) << "free again";
  second.Stop(1s);
}

TEST(Server, ClosesAndOpensAgainOnThePort) {
  Server::Options options = Plain();
  {
    Server server(Plain());
    options.port = MustStart(server);
  }
  Server server(options);
  server.Publish(Clusters(1));
  for (int i = 0; i < 5; ++i) {
    Client client(MustStart(server));
    auto stream = OpenDelta(client);
    ASSERT_TRUE(stream->Write(Subscription(ResourceType::kCluster)));
    DeltaDiscoveryResponse response;
    ASSERT_TRUE(stream->Read(&response)) << i;
    EXPECT_EQ(response.resources_size(), 1) << "the last snapshot is still there";
    server.Stop(5s);
    EXPECT_FALSE(stream->Read(&response));
    server.Stop(5s);  // nothing
  }
  EXPECT_EQ(server.GetMetrics().streams_opened, 5U);
}

TEST(Server, RequestsMayBeBig) {
  Server server(Plain());
  server.Publish(Clusters(1));
  Client client(MustStart(server));
  auto stream = OpenDelta(client);
  DeltaDiscoveryRequest request = Subscription(ResourceType::kEndpoints);
  for (int i = 0; i < 100000; ++i) {
    const std::string name = std::to_string(i) + std::string(60, 'x');
    request.add_resource_names_subscribe(name);
    (*request.mutable_initial_resource_versions())[name] = std::string(32, '0');
  }
  ASSERT_GT(request.ByteSizeLong(), 5U << 20);
  ASSERT_TRUE(stream->Write(request));
  ASSERT_TRUE(stream->Write(Subscription(ResourceType::kCluster)));
  DeltaDiscoveryResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.type_url(), Url(ResourceType::kCluster));
  client.context.TryCancel();  // it doesn't read the rest
  server.Stop(5s);
}

// Where Envoy opens a stream for each cluster, the usual 100 of a connection are not enough.
TEST(Server, AConnectionMayHaveAMillionStreams) {
  Server server(Plain());
  const int port = MustStart(server);
  const int connection = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(connect(connection, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  // The preface of a client and its empty SETTINGS; what comes first in return are the server's.
  const std::string hello("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 24 + 9);
  ASSERT_EQ(send(connection, hello.data(), hello.size(), 0), static_cast<ssize_t>(hello.size()));
  const auto read = [&](std::size_t size) {
    std::string bytes(size, '\0');
    EXPECT_EQ(recv(connection, bytes.data(), size, MSG_WAITALL), static_cast<ssize_t>(size));
    return bytes;
  };
  const auto number = [](std::string_view bytes) {
    std::uint32_t value = 0;
    for (const char c : bytes) value = value << 8U | static_cast<unsigned char>(c);
    return value;
  };
  const std::string head = read(9);
  ASSERT_EQ(head[3], 4) << "not a SETTINGS frame";
  std::map<std::uint32_t, std::uint32_t> settings;
  for (std::uint32_t left = number(head.substr(0, 3)); left >= 6; left -= 6) {
    const std::string entry = read(6);
    settings[number(entry.substr(0, 2))] = number(entry.substr(2));
  }
  close(connection);
  constexpr std::uint32_t kMaxConcurrentStreams = 3;
  ASSERT_TRUE(settings.contains(kMaxConcurrentStreams));
  EXPECT_EQ(settings[kMaxConcurrentStreams], 1U << 20U);
  server.Stop(5s);
}

TEST(Server, FrequentPingsAreNoAbuse) {
  Server server(Plain());
  server.Publish(Clusters(1));
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 200);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  Client client(MustStart(server), grpc::InsecureChannelCredentials(), arguments);
  auto stream = OpenDelta(client);
  ASSERT_TRUE(stream->Write(Subscription(ResourceType::kCluster)));
  DeltaDiscoveryResponse response;
  ASSERT_TRUE(stream->Read(&response));
  std::this_thread::sleep_for(3s);
  server.Publish(Clusters(2));
  EXPECT_TRUE(stream->Read(&response)) << stream->Finish().error_message();
  server.Stop(5s);
}

TEST(Server, AStalledClientCostsOthersNothingAndTheStopIsInTime) {
  Server server(Plain());
  server.Publish(Clusters(2000, std::string(2000, 'x')));  // more than flow control lets through
  const int port = MustStart(server);
  Client stalled(port);
  Client lively(port);
  auto stalled_stream = OpenDelta(stalled);
  ASSERT_TRUE(stalled_stream->Write(Subscription(ResourceType::kCluster, "stalled")));
  auto stream = OpenDelta(lively);
  ASSERT_TRUE(stream->Write(Subscription(ResourceType::kCluster, "lively")));
  DeltaDiscoveryResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.resources_size(), 2000);
  for (int i = 1; i <= 20; ++i) {
    server.Publish(Clusters(2000, std::string(2000, static_cast<char>('a' + i))));
    ASSERT_TRUE(stream->Read(&response));
    EXPECT_EQ(response.resources_size(), 2000);
    ASSERT_TRUE(stream->Write(Acknowledgement(response)));
  }
  EXPECT_LE(server.GetMetrics().counters.responses[Index(ResourceType::kCluster)], 22U);
  const auto before = std::chrono::steady_clock::now();
  server.Stop(500ms);
  EXPECT_LT(std::chrono::steady_clock::now() - before, 5s);
  stalled.context.TryCancel();
}

TEST(Server, StopsInTimeWithManyStreams) {
  Server server(Plain());
  server.Publish(Clusters(5));
  const int port = MustStart(server);
  std::vector<std::unique_ptr<Client>> clients;
  std::vector<std::unique_ptr<DeltaStream>> streams;
  DeltaDiscoveryResponse response;
  for (int i = 0; i < 100; ++i) {
    clients.push_back(std::make_unique<Client>(port));
    streams.push_back(OpenDelta(*clients.back()));
    ASSERT_TRUE(streams.back()->Write(Subscription(ResourceType::kCluster)));
    ASSERT_TRUE(streams.back()->Read(&response));
  }
  EXPECT_EQ(server.GetMetrics().streams, 100U);
  const auto before = std::chrono::steady_clock::now();
  server.Stop(10s);
  EXPECT_LT(std::chrono::steady_clock::now() - before, 5s)
      << "it ends them, it doesn't wait for the deadline";
}

TEST(Server, StreamsEndOneAfterTheOther) {
  Server server(Plain());
  server.Publish(Clusters(1));
  const int port = MustStart(server);
  std::vector<std::unique_ptr<Client>> clients;
  std::vector<std::thread> readers;
  std::vector<std::chrono::steady_clock::time_point> ended(20);
  for (std::size_t i = 0; i < ended.size(); ++i) {
    clients.push_back(std::make_unique<Client>(port));
    std::shared_ptr<DeltaStream> stream = OpenDelta(*clients.back());
    DeltaDiscoveryResponse response;
    ASSERT_TRUE(stream->Write(Subscription(ResourceType::kCluster)));
    ASSERT_TRUE(stream->Read(&response));
    readers.emplace_back([&at = ended[i], stream] {
      DeltaDiscoveryResponse none;
      EXPECT_FALSE(stream->Read(&none));
      at = std::chrono::steady_clock::now();
      EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
    });
  }
  const auto before = std::chrono::steady_clock::now();
  server.Stop(10s, 1s);
  const auto after = std::chrono::steady_clock::now();
  for (std::thread& reader : readers) reader.join();
  EXPECT_GE(after - before, 900ms);
  EXPECT_LT(after - before, 8s);
  std::sort(ended.begin(), ended.end());
  EXPECT_GT(ended[15] - ended[4], 300ms) << "not all at once";
}

// Clients that come and go at any moment while snapshots pass by; each sees contents in order.
TEST(Server, CancelStorm) {
  Server::Options options = Plain();
  options.workers = 2;
  Server server(options);
  server.Publish(Clusters(3));
  const int port = MustStart(server);
  std::atomic<bool> done = false;
  std::thread publisher([&] {
    for (int i = 0; !done; ++i) {
      server.Publish(Clusters(3, fmt::format("{:08}", i)));
      std::this_thread::sleep_for(1ms);
    }
  });
  std::vector<std::thread> clients;
  for (int i = 0; i < 10; ++i) {
    clients.emplace_back([&, i] {
      std::mt19937 random(static_cast<unsigned>(i));
      for (int round = 0; round < 12; ++round) {
        Client client(port);
        auto stream = OpenDelta(client);
        std::thread canceller([&client, delay = std::chrono::microseconds(random() % 30000)] {
          std::this_thread::sleep_for(delay);
          client.context.TryCancel();
        });
        std::string last;
        if (stream->Write(Subscription(ResourceType::kCluster))) {
          DeltaDiscoveryResponse response;
          while (stream->Read(&response)) {
            ::envoy::config::cluster::v3::Cluster cluster;
            ASSERT_TRUE(response.resources(0).resource().UnpackTo(&cluster));
            EXPECT_LT(last, cluster.alt_stat_name());
            last = cluster.alt_stat_name();
            if (random() % 4 != 0 && !stream->Write(Acknowledgement(response))) break;
          }
        }
        canceller.join();
        stream->Finish();
      }
    });
  }
  for (std::thread& client : clients) client.join();
  done = true;
  publisher.join();
  for (int i = 0; i < 1000 && server.GetMetrics().streams > 0; ++i)
    std::this_thread::sleep_for(5ms);
  EXPECT_EQ(server.GetMetrics().streams, 0U);
  EXPECT_EQ(server.GetMetrics().sessions, 0U);
  server.Stop(5s);
}

// ---- TLS ----

using KeyPtr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using CertificatePtr = std::unique_ptr<X509, decltype(&X509_free)>;

std::string Pem(const std::function<int(BIO*)>& write) {
  std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), &BIO_free);
  write(bio.get());
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

// A certificate for `name`, by `issuer` or by itself.
struct Identity {
  explicit Identity(const std::string& name, const Identity* issuer = nullptr)
      : key(EVP_EC_gen("P-256"), &EVP_PKEY_free), certificate(X509_new(), &X509_free) {
    static std::atomic<long> serial{1};
    X509* x = certificate.get();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key.get());
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    const Identity& by = issuer == nullptr ? *this : *issuer;
    X509_set_issuer_name(x, X509_get_subject_name(by.certificate.get()));
    Extend(NID_basic_constraints, issuer == nullptr ? "critical,CA:TRUE" : "CA:FALSE");
    if (issuer != nullptr) Extend(NID_subject_alt_name, "DNS:" + name);
    X509_sign(x, by.key.get(), EVP_sha256());
  }
  void Extend(int nid, const std::string& value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str());
    X509_add_ext(certificate.get(), extension, -1);
    X509_EXTENSION_free(extension);
  }
  std::string CertificatePem() const {
    return Pem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate.get()); });
  }
  std::string KeyPem() const {
    return Pem([&](BIO* bio) {
      return PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
  }
  KeyPtr key;
  CertificatePtr certificate;
};

class ServerTLS : public testing::Test {
 protected:
  ServerTLS() {
    options_.port = 0;
    options_.tls = true;
  }

  static TLSKeysPtr Keys(const Identity& server, const Identity& client_ca) {
    return std::make_shared<const TLSKeys>(
        TLSKeys{server.CertificatePem(), server.KeyPem(), client_ca.CertificatePem()});
  }

  // Whether a client with this certificate that trusts this CA is served.
  static grpc::StatusCode Connect(int port, const Identity& server_ca, const Identity* client) {
    grpc::SslCredentialsOptions ssl;
    ssl.pem_root_certs = server_ca.CertificatePem();
    if (client != nullptr) {
      ssl.pem_cert_chain = client->CertificatePem();
      ssl.pem_private_key = client->KeyPem();
    }
    grpc::ChannelArguments arguments;
    arguments.SetSslTargetNameOverride("contour");
    Client connection(port, grpc::SslCredentials(ssl), arguments);
    auto stream = OpenDelta(connection);
    stream->Write(Subscription(ResourceType::kCluster));
    DeltaDiscoveryResponse response;
    if (stream->Read(&response)) return grpc::StatusCode::OK;
    return stream->Finish().error_code();
  }

  Identity ca_{"ca"};
  Server::Options options_;
};

TEST_F(ServerTLS, AsksForACertificateOfTheCa) {
  Server server(options_);
  server.SetTLS(Keys(Identity("contour", &ca_), ca_));
  server.Publish(Clusters(1));
  const int port = MustStart(server);
  const Identity envoy("envoy", &ca_);
  const Identity other_ca("other");
  const Identity stranger("envoy", &other_ca);
  EXPECT_EQ(Connect(port, ca_, &envoy), grpc::StatusCode::OK);
  EXPECT_EQ(Connect(port, ca_, nullptr), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Connect(port, ca_, &stranger), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Connect(port, other_ca, &envoy), grpc::StatusCode::UNAVAILABLE);
  server.Stop(5s);
}

TEST_F(ServerTLS, HandshakesUseTheKeysThatWereSetLastAndStreamsGoOn) {
  Server server(options_);
  server.SetTLS(Keys(Identity("contour", &ca_), ca_));
  server.Publish(Clusters(1));
  const int port = MustStart(server);
  const Identity envoy("envoy", &ca_);
  grpc::SslCredentialsOptions ssl{ca_.CertificatePem(), envoy.KeyPem(), envoy.CertificatePem()};
  grpc::ChannelArguments arguments;
  arguments.SetSslTargetNameOverride("contour");
  Client open(port, grpc::SslCredentials(ssl), arguments);
  auto stream = OpenDelta(open);
  stream->Write(Subscription(ResourceType::kCluster));
  DeltaDiscoveryResponse response;
  ASSERT_TRUE(stream->Read(&response));
  const Identity new_ca("new ca");
  const Identity new_envoy("envoy", &new_ca);
  server.SetTLS(Keys(Identity("contour", &new_ca), new_ca));
  EXPECT_EQ(Connect(port, new_ca, &new_envoy), grpc::StatusCode::OK);
  EXPECT_EQ(Connect(port, ca_, &envoy), grpc::StatusCode::UNAVAILABLE);
  server.Publish(Clusters(2));
  EXPECT_TRUE(stream->Read(&response)) << "the stream from before goes on";
  server.Stop(5s);
  EXPECT_EQ(Connect(MustStart(server), new_ca, &new_envoy), grpc::StatusCode::OK)
      << "the keys stay for the next start";
  server.Stop(5s);
}

// A client that connects, says `sent` and then nothing. True if the server ended the connection
// within `patience`.
bool IsEnded(int port, const std::string& sent, std::chrono::milliseconds patience) {
  const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(client, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(send(client, sent.data(), sent.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(sent.size()));
  const auto deadline = std::chrono::steady_clock::now() + patience;
  bool ended = false;
  while (!ended && std::chrono::steady_clock::now() < deadline) {
    pollfd one{.fd = client, .events = POLLIN, .revents = 0};
    if (poll(&one, 1, 10) <= 0) continue;
    char buffer[4096];
    ended = recv(client, buffer, sizeof(buffer), 0) <= 0;
  }
  close(client);
  return ended;
}

// The first bytes of a TLS record that never comes whole, and of HTTP/2 without the settings.
constexpr std::string_view kHalfAHello("\x16\x03\x01\x02\x00\x01", 6);
constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

TEST_F(ServerTLS, AHandshakeThatDoesNotEndIsEnded) {
  options_.handshake_timeout = 500ms;
  Server server(options_);
  server.SetTLS(Keys(Identity("contour", &ca_), ca_));
  server.Publish(Clusters(1));
  const int port = MustStart(server);
  EXPECT_TRUE(IsEnded(port, "", 5s));
  EXPECT_TRUE(IsEnded(port, std::string(kHalfAHello), 5s));
  const Identity envoy("envoy", &ca_);
  EXPECT_EQ(Connect(port, ca_, &envoy), grpc::StatusCode::OK);
  server.Stop(5s);
}

TEST(Server, AConnectionWithoutSettingsIsEnded) {
  Server::Options options = Plain();
  options.handshake_timeout = 500ms;
  Server server(options);
  server.Publish(Clusters(1));
  const int port = MustStart(server);
  EXPECT_TRUE(IsEnded(port, "", 5s));
  EXPECT_TRUE(IsEnded(port, std::string(kPreface.substr(0, 10)), 5s));
  EXPECT_TRUE(IsEnded(port, std::string(kPreface), 5s));
  server.Stop(5s);
}

TEST(Server, AConnectionWithoutStreamsIsEnded) {
  Server::Options options = Plain();
  options.idle_timeout = 500ms;
  Server server(options);
  server.Publish(Clusters(1));
  const int port = MustStart(server);
  const std::string settings("\0\0\0\4\0\0\0\0\0", 9);  // an empty SETTINGS frame
  EXPECT_TRUE(IsEnded(port, std::string(kPreface) + settings, 10s));
  // One with a stream stays.
  Client client(port);
  auto stream = OpenDelta(client);
  DeltaDiscoveryResponse response;
  ASSERT_TRUE(stream->Write(Subscription(ResourceType::kCluster)));
  ASSERT_TRUE(stream->Read(&response));
  std::this_thread::sleep_for(1500ms);
  server.Publish(Clusters(2));
  EXPECT_TRUE(stream->Read(&response));
  server.Stop(5s);
}

TEST_F(ServerTLS, DoesNotStartWithoutKeys) {
  Server server(options_);
  const absl::Status status = server.Start().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(Message(status)), HasSubstr("TLS has no certificate and key yet"));
}

TEST_F(ServerTLS, WhatGrpcLogsComesThroughOurLogAndIsNotRepeated) {
  Server server(options_);
  server.SetTLS(Keys(Identity("contour", &ca_), ca_));
  const int port = MustStart(server);
  const Identity other_ca("other");
  const Identity stranger("envoy", &other_ca);
  // The log of three handshakes that fail, with a pause between two lines of one place.
  const auto log = [&](std::chrono::milliseconds pause) {
    LogThroughOurs(pause);
    testing::internal::CaptureStderr();
    for (int i = 0; i < 3; ++i) Connect(port, ca_, &stranger);
    return testing::internal::GetCapturedStderr();
  };
  const auto handshake = testing::ContainsRegex(
      "level=warning msg=\"Handshake failed.*context=grpc place=ssl_transport_security.cc:");
  EXPECT_THAT(log(0ms), handshake);
  EXPECT_THAT(log(1h), testing::Not(handshake));
  EXPECT_THAT(log(0ms), testing::AllOf(handshake, HasSubstr("left_out=3")));
  server.Stop(5s);
}

}  // namespace
}  // namespace contour::xds
