// SPDX-License-Identifier: Apache-2.0
// Any history of objects ends in the very bytes that a fresh process would serve for the final
// objects; and no snapshot on the way holds what Envoy would refuse or could not follow: names
// without resources, domains or server names twice.
//
// The environment variables of graph_property_test.cc count here too (with a tenth of the seeds).

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <set>
#include <string>

#include "core/pipeline.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "tests/support/random_objects.h"

namespace contour {
namespace {

using xds::ResourceType;
using Bytes = std::map<std::string, std::string>;  // by resource name

int FromEnvironment(const char* name, int fallback) {
  const char* text = std::getenv(name);
  return text == nullptr ? fallback : std::atoi(text);
}

Bytes BytesOf(const xds::Snapshot& snapshot, ResourceType type) {
  Bytes bytes;
  snapshot.table(type).ForEach([&](const xds::ResourcePtr& resource) {
    bytes[resource->name] = xds::Assemble(type, *resource);
  });
  return bytes;
}

template <typename Message>
Message Parsed(const std::string& bytes) {
  Message message;
  EXPECT_TRUE(message.ParseFromString(bytes));
  return message;
}

// What resources name, taken from their bytes.
struct Names {
  std::set<std::string> clusters;
  std::set<std::string> assignments;
  std::set<std::string> secrets;
};

void CheckRoutes(const xds::Snapshot& snapshot, Names& names) {
  using ::envoy::config::route::v3::RouteConfiguration;
  for (const auto& [name, bytes] : BytesOf(snapshot, ResourceType::kRoutes)) {
    std::set<std::string> domains;
    const auto configuration = Parsed<RouteConfiguration>(bytes);
    for (const auto& host : configuration.virtual_hosts()) {
      for (const std::string& domain : host.domains()) {
        EXPECT_TRUE(domains.insert(domain).second) << name << ": twice " << domain;
      }
      EXPECT_FALSE(host.routes().empty()) << host.name();
      for (const auto& route : host.routes()) {
        if (!route.has_route()) continue;
        EXPECT_TRUE(route.route().has_cluster() || route.route().has_weighted_clusters());
        if (route.route().has_cluster()) names.clusters.insert(route.route().cluster());
        for (const auto& cluster : route.route().weighted_clusters().clusters()) {
          names.clusters.insert(cluster.name());
        }
      }
    }
  }
}

void CheckListeners(const xds::Snapshot& snapshot, Names& names) {
  using ::envoy::config::listener::v3::Listener;
  using ::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
  using ::envoy::extensions::transport_sockets::tls::v3::DownstreamTlsContext;
  for (const auto& [name, bytes] : BytesOf(snapshot, ResourceType::kListener)) {
    const auto listener = Parsed<Listener>(bytes);
    EXPECT_FALSE(listener.filter_chains().empty()) << name;
    std::set<std::string> servers;
    for (const auto& chain : listener.filter_chains()) {
      for (const std::string& server : chain.filter_chain_match().server_names()) {
        EXPECT_TRUE(servers.insert(server).second) << name << ": twice " << server;
      }
      DownstreamTlsContext context;
      if (chain.has_transport_socket() &&
          chain.transport_socket().typed_config().UnpackTo(&context)) {
        for (const auto& secret :
             context.common_tls_context().tls_certificate_sds_secret_configs()) {
          names.secrets.insert(secret.name());
        }
      }
      for (const auto& filter : chain.filters()) {
        TcpProxy proxy;
        if (!filter.typed_config().UnpackTo(&proxy)) continue;
        if (!proxy.cluster().empty()) names.clusters.insert(proxy.cluster());
        for (const auto& cluster : proxy.weighted_clusters().clusters()) {
          names.clusters.insert(cluster.name());
        }
      }
    }
  }
}

void CheckClosed(const xds::Snapshot& snapshot) {
  using ::envoy::config::cluster::v3::Cluster;
  using ::envoy::config::endpoint::v3::ClusterLoadAssignment;
  Names names;
  CheckRoutes(snapshot, names);
  CheckListeners(snapshot, names);
  const Bytes clusters = BytesOf(snapshot, ResourceType::kCluster);
  for (const auto& [name, bytes] : clusters) {
    const auto cluster = Parsed<Cluster>(bytes);
    EXPECT_EQ(cluster.name(), name);
    if (cluster.type() == Cluster::EDS) {
      names.assignments.insert(cluster.eds_cluster_config().service_name());
    }
  }
  for (const std::string& name : names.clusters) EXPECT_TRUE(clusters.contains(name)) << name;
  const Bytes assignments = BytesOf(snapshot, ResourceType::kEndpoints);
  EXPECT_EQ(assignments.size(), names.assignments.size());
  for (const std::string& name : names.assignments) {
    ASSERT_TRUE(assignments.contains(name)) << name;
    EXPECT_EQ(Parsed<ClusterLoadAssignment>(assignments.at(name)).cluster_name(), name);
  }
  const Bytes secrets = BytesOf(snapshot, ResourceType::kSecret);
  EXPECT_EQ(secrets.size(), names.secrets.size());
  for (const std::string& name : names.secrets) EXPECT_TRUE(secrets.contains(name)) << name;
}

TEST(PipelineProperty, SnapshotIsThatOfAFreshProcessAndClosed) {
  const int seeds = FromEnvironment("CONTOUR_PROPERTY_SEEDS", 2000) / 10;
  const int steps = FromEnvironment("CONTOUR_PROPERTY_STEPS", 300);
  const int first = FromEnvironment("CONTOUR_PROPERTY_FIRST_SEED", 0);
  for (int seed = first; seed < first + seeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    testing::RandomWorld world(static_cast<std::uint64_t>(seed));
    core::Pipeline::Options options;
    if (seed % 3 == 0) options.graph.root_namespaces = {"roots", "default"};
    if (seed % 4 == 0) options.graph.minimum_tls_version = graph::TLSVersion::k1_1;
    core::Pipeline pipeline(options);
    xds::SnapshotPtr snapshot;
    for (int step = 1; step <= steps; ++step) {
      const xds::SnapshotPtr before = snapshot;
      const api::Change change = world.Step();
      snapshot = pipeline.Apply({change}).snapshot;
      // What doesn't change the content is the same snapshot, so that nothing is sent.
      if (before != nullptr && before->Version() == snapshot->Version()) {
        EXPECT_EQ(before, snapshot);
      }
      EXPECT_EQ(pipeline.Apply({change}).snapshot, snapshot) << "the same again";
      if (step % 10 == 0) CheckClosed(*snapshot);
      if (step % 50 == 0 || step == steps) {
        core::Pipeline fresh(options);
        const xds::SnapshotPtr wanted = fresh.Apply(world.Shuffled()).snapshot;
        EXPECT_EQ(snapshot->Version(), wanted->Version());
        for (const xds::TypeInfo& type : xds::kTypes) {
          EXPECT_TRUE(BytesOf(*snapshot, type.type) == BytesOf(*wanted, type.type)) << type.name;
        }
      }
      if (::testing::Test::HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace contour
