// SPDX-License-Identifier: Apache-2.0

#include "core/provenance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "core/pipeline.h"
#include "envoy/listener.h"
#include "tests/support/random_objects.h"

namespace contour::core {
namespace {

using testing::RandomWorld;

constexpr std::size_t kAll = 1000;

// Returns the roots of the hosts that have the resource, by a walk over all hosts.
std::vector<api::ObjectRef> RootsByWalk(const Pipeline& pipeline, const xds::ResourceKey& item) {
  std::vector<api::ObjectRef> roots;
  for (const graph::VirtualHostPtr& host : pipeline.engine().VirtualHosts()) {
    const std::vector<xds::ResourceKey> items = pipeline.provenance().ResourcesOf(host->host);
    if (std::find(items.begin(), items.end(), item) == items.end()) continue;
    for (const api::ObjectRef& root : pipeline.engine().DescribeHost(host->host).roots) {
      if (std::find(roots.begin(), roots.end(), root) == roots.end()) roots.push_back(root);
    }
  }
  return roots;
}

std::vector<api::ObjectRef> RootsOf(const Pipeline& pipeline, const xds::ResourceKey& item) {
  std::vector<api::ObjectRef> roots;
  for (const graph::ObjectView& object : pipeline.provenance().SourcesOf(item, kAll)) {
    if (object.ref.kind != api::Kind::kSecret) roots.push_back(object.ref);
  }
  return roots;
}

std::vector<xds::ResourceKey> ItemsOf(const xds::Snapshot& snapshot) {
  std::vector<xds::ResourceKey> items;
  for (const xds::TypeInfo& type : xds::kTypes) {
    snapshot.table(type.type).ForEach([&](const xds::ResourcePtr& resource) {
      items.push_back({type.type, resource->name, std::nullopt});
      resource->parts.ForEach([&](const xds::PartPtr& part) {
        // It is made for many hosts and comes from none of them.
        if (part->name != envoy::kSharedFilterChain)
          items.push_back({type.type, resource->name, part->name});
      });
    });
  }
  return items;
}

struct Case {
  const char* name;
  RandomWorld::Vocabulary vocabulary;
  envoy::Delivery delivery;
  std::size_t hash_digits;
};

class ProvenanceTest : public ::testing::TestWithParam<Case> {};

TEST_P(ProvenanceTest, FindsWhatAWalkOverAllHostsFinds) {
  std::size_t found = 0;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    RandomWorld world(seed, GetParam().vocabulary);
    Pipeline::Options options;
    options.listeners.delivery = GetParam().delivery;
    options.hash_digits = GetParam().hash_digits;
    Pipeline pipeline(options);
    xds::SnapshotPtr snapshot;
    for (int step = 0; step < 120; ++step) snapshot = pipeline.Apply({world.Step()}).snapshot;
    for (const xds::ResourceKey& item : ItemsOf(*snapshot)) {
      const std::vector<api::ObjectRef> roots = RootsOf(pipeline, item);
      EXPECT_EQ(roots, RootsByWalk(pipeline, item))
          << "seed " << seed << ": " << xds::Info(item.type).name << " " << item.resource << " "
          << item.part.value_or("");
      found += roots.size();
    }
  }
  EXPECT_GT(found, 20U) << "the test looks at too little";
}

using enum RandomWorld::Vocabulary;
INSTANTIATE_TEST_SUITE_P(
    Provenance, ProvenanceTest,
    ::testing::Values(Case{"Usual", kUsual, envoy::Delivery::kClassic, envoy::kHashDigits},
                      Case{"ShardedHTTPS", kUsual, envoy::Delivery::kShardedHTTPS,
                           envoy::kHashDigits},
                      Case{"Meeting", kMeeting, envoy::Delivery::kClassic, 1},
                      Case{"MeetingSharded", kMeeting, envoy::Delivery::kShardedHTTPS, 1}),
    [](const auto& each) { return std::string(each.param.name); });

void ExpectNothingKnown(const Pipeline& pipeline) {
  using xds::ResourceType;
  for (const xds::ResourceKey& item :
       {xds::ResourceKey{ResourceType::kCluster, "a/b/80/da39a3ee5e", std::nullopt},
        xds::ResourceKey{ResourceType::kEndpoints, "a/b", std::nullopt},
        xds::ResourceKey{ResourceType::kListener, "certificates/01", std::nullopt},
        xds::ResourceKey{ResourceType::kListener, "ingress_https", "a.example"},
        xds::ResourceKey{ResourceType::kRoutes, "ingress_http", std::nullopt},
        xds::ResourceKey{ResourceType::kScopedRoutes, "https/a.example", std::nullopt},
        xds::ResourceKey{ResourceType::kSecret, "a/tls", std::nullopt}}) {
    EXPECT_TRUE(pipeline.provenance().SourcesOf(item, kAll).empty()) << item.resource;
  }
  EXPECT_TRUE(pipeline.provenance().ResourcesOf("a.example").empty());
}

TEST(Provenance, KnowsNothingOfWhatIsNotThere) {
  Pipeline pipeline({});
  pipeline.Apply({});
  ExpectNothingKnown(pipeline);
}

// An Envoy may reject something of the snapshot file before anything was built.
TEST(Provenance, KnowsNothingBeforeTheFirstBuild) { ExpectNothingKnown(Pipeline({})); }

}  // namespace
}  // namespace contour::core
