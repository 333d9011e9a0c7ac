// SPDX-License-Identifier: Apache-2.0

#include "xds/server.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/service/cluster/v3/cds.grpc.pb.h"
#include "envoy/service/discovery/v3/ads.grpc.pb.h"
#include "envoy/service/endpoint/v3/eds.grpc.pb.h"
#include "envoy/service/listener/v3/lds.grpc.pb.h"
#include "envoy/service/route/v3/rds.grpc.pb.h"
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

struct Client {
  explicit Client(int port, std::shared_ptr<grpc::ChannelCredentials> credentials =
                                grpc::InsecureChannelCredentials()) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a connection of its own
    arguments.SetSslTargetNameOverride("contour");
    channel =
        grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(port), credentials, arguments);
    context.set_deadline(std::chrono::system_clock::now() + 30s);
  }
  std::shared_ptr<grpc::Channel> channel;
  grpc::ClientContext context;
};

Server::Options Plain() {
  Server::Options options;
  options.port = 0;
  return options;
}

TEST(Server, DeltaAds) {
  Server server(Plain());
  server.Publish(Clusters(2));
  const absl::StatusOr<int> port = server.Start();
  ASSERT_TRUE(port.ok()) << port.status();
  Client client(*port);
  auto stub = AggregatedDiscoveryService::NewStub(client.channel);
  auto stream = stub->DeltaAggregatedResources(&client.context);
  DeltaDiscoveryRequest request;
  request.mutable_node()->set_id("envoy-1");
  request.set_type_url(Url(ResourceType::kCluster));
  ASSERT_TRUE(stream->Write(request));
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

  const std::vector<SessionView> sessions = server.Sessions();
  ASSERT_EQ(sessions.size(), 1U);
  EXPECT_EQ(sessions[0].node_id, "envoy-1");
  EXPECT_EQ(sessions[0].entries.size(), 3U);
  server.Stop(5s);
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace contour::xds
