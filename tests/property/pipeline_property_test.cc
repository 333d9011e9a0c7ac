// SPDX-License-Identifier: Apache-2.0
// Any history of objects must end in the same bytes that a fresh process would serve for the final
// objects. No snapshot on the way may have anything that Envoy would NACK or could not resolve:
// names without resources, domains or server names twice.
//
// The environment variables of graph_property_test.cc are used here too (with a tenth of the
// seeds).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>

#include "core/pipeline.h"
#include "graph/model/listener.h"
#include "tests/support/closed_snapshot.h"
#include "tests/support/name_faults.h"
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

TEST(PipelineProperty, SnapshotIsThatOfAFreshProcessAndClosed) {
  const int seeds = FromEnvironment("CONTOUR_PROPERTY_SEEDS", 2000) / 10;
  const int steps = FromEnvironment("CONTOUR_PROPERTY_STEPS", 300);
  const int first = FromEnvironment("CONTOUR_PROPERTY_FIRST_SEED", 0);
  int contested = 0;  // steps after which a name of some type was so
  int closed = 0;
  for (int seed = first; seed < first + seeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    using Vocabulary = testing::RandomWorld::Vocabulary;
    const bool meeting = seed % 2 == 1;
    testing::RandomWorld world(static_cast<std::uint64_t>(seed),
                               meeting ? Vocabulary::kMeeting : Vocabulary::kUsual);
    core::Pipeline::Options options;
    // In some histories even the full hashes are equal, sometimes or always.
    const bool hashes_meet = meeting && seed % 7 < 2;
    if (hashes_meet) options.hash_digits = static_cast<std::size_t>(seed % 7);
    if (seed % 5 == 0) options.graph.root_namespaces = {"roots", "default"};
    if (seed % 4 == 0) options.graph.minimum_tls_version = graph::TLSVersion::k1_1;
    if (seed % 3 == 1) options.listeners.delivery = envoy::Delivery::kSharded;
    if (seed % 3 == 2) options.listeners.delivery = envoy::Delivery::kShardedHTTPS;
    core::Pipeline pipeline(options);
    xds::SnapshotPtr snapshot;
    for (int step = 1; step <= steps; ++step) {
      const xds::SnapshotPtr before = snapshot;
      const api::Change change = world.Step();
      snapshot = pipeline.Apply({change}).snapshot;
      // A change that leaves the content as it is gives the same snapshot, so that nothing is sent.
      if (before != nullptr && before->Version() == snapshot->Version()) {
        EXPECT_EQ(before, snapshot);
      }
      EXPECT_EQ(pipeline.Apply({change}).snapshot, snapshot) << "the same again";
      if (step % 10 == 0) {
        EXPECT_THAT(testing::NameFaults(pipeline, *snapshot, options), ::testing::IsEmpty());
        // A certificate with the name of another isn't served.
        if (!hashes_meet) {
          EXPECT_THAT(testing::Faults(*snapshot), ::testing::IsEmpty());
        }
      }
      if (step % 50 == 0 || step == steps) {
        core::Pipeline fresh(options);
        const xds::SnapshotPtr wanted = fresh.Apply(world.Shuffled()).snapshot;
        EXPECT_EQ(snapshot->Version(), wanted->Version());
        for (const xds::TypeInfo& type : xds::kTypes) {
          EXPECT_TRUE(BytesOf(*snapshot, type.type) == BytesOf(*wanted, type.type)) << type.name;
        }
      }
      if (::testing::Test::HasFailure()) return;
      const core::Pipeline::NameCounts names = pipeline.CountNames();
      for (const xds::TypeInfo& type : xds::kTypes) {
        contested += names.contested[xds::Index(type.type)] > 0;
        closed += names.closed[xds::Index(type.type)] > 0;
      }
    }
  }
  // Checks that equal names do occur in these histories.
  if (seeds >= 20) {
    EXPECT_GT(contested, 5 * seeds);
    EXPECT_GT(closed, seeds / 5);
  }
}

}  // namespace
}  // namespace contour
