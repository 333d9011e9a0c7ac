// SPDX-License-Identifier: Apache-2.0
#include "xds/session/warming.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace contour::xds {
namespace {

using namespace std::chrono_literals;

const Warming::Time kNow{};

ResourcePtr Cluster(const std::string& name, const std::string& assignment) {
  auto cluster = std::make_shared<Resource>();
  cluster->name = name;
  cluster->warm_by = WarmBy::kAssignment;
  cluster->assignment = assignment;
  return cluster;
}

Resource Assignment(const std::string& name, bool empty = false) {
  return {.name = name, .without_endpoints = empty};
}

std::vector<std::string> Warm(const Warming::Changes& changes) {
  std::vector<std::string> names;
  for (const NamePtr& name : changes.warm) names.push_back(*name);
  return names;
}

class WarmingTest : public ::testing::Test {
 protected:
  Warming Make(bool aggregated) {
    return {{aggregated, 250ms, std::make_shared<SharedTables>(), std::make_shared<Recent>()},
            examined_};
  }

  std::uint64_t examined_ = 0;
  const StringMap<std::uint64_t> asked_ = {{"e", 10}};
};

TEST_F(WarmingTest, AClusterIsWarmWhenItsAssignmentIsAckedAfterIt) {
  Warming warming = Make(true);
  EXPECT_TRUE(warming.ClusterSent(Cluster("c", "e"), nullptr, 2)) << "the assignment is sent again";
  EXPECT_TRUE(warming.Contains("c"));
  EXPECT_TRUE(warming.AssignmentAcked(Assignment("e"), 1, {}, 1, kNow).warm.empty())
      << "it came before the cluster";
  EXPECT_EQ(Warm(warming.AssignmentAcked(Assignment("e"), 1, {}, 3, kNow)),
            std::vector<std::string>{"c"});
  EXPECT_TRUE(warming.empty());
}

TEST_F(WarmingTest, AnEmptyAssignmentMakesAClusterWarmAfterAWait) {
  Warming warming = Make(true);
  warming.ClusterSent(Cluster("c", "e"), nullptr, 1);
  EXPECT_TRUE(warming.AssignmentAcked(Assignment("e", true), 1, {}, 2, kNow).warm.empty());
  EXPECT_EQ(warming.NextDeadline(), kNow + 250ms);
  EXPECT_TRUE(warming.TakeTimedOut(kNow + 249ms).warm.empty());
  EXPECT_EQ(Warm(warming.TakeTimedOut(kNow + 250ms)), std::vector<std::string>{"c"});
}

TEST_F(WarmingTest, OnStreamsPerTypeSharersAreWarmWhenAsManyStreamsHaveAcked) {
  Warming warming = Make(false);
  EXPECT_FALSE(warming.ClusterSent(Cluster("a", "e"), nullptr, 1)) << "each asks for itself";
  warming.ClusterSent(Cluster("b", "e"), nullptr, 2);
  warming.ClusterAcked("a", 2, kNow);
  warming.ClusterAcked("b", 2, kNow);
  EXPECT_TRUE(warming.AssignmentAcked(Assignment("e"), 1, asked_, 11, kNow).warm.empty());
  EXPECT_EQ(Warm(warming.AssignmentAcked(Assignment("e"), 2, asked_, 12, kNow)),
            (std::vector<std::string>{"a", "b"}));
}

TEST_F(WarmingTest, AStaleRequestCountsUntilTheClusterThatReplacesIsAcked) {
  Warming warming = Make(false);
  warming.ClusterSent(Cluster("a", "e"), nullptr, 1);
  warming.ClusterSent(Cluster("a", "other"), Cluster("a", "e"), 2);
  warming.ClusterSent(Cluster("b", "e"), nullptr, 3);
  warming.ClusterAcked("b", 3, kNow);
  EXPECT_TRUE(warming.AssignmentAcked(Assignment("e"), 1, asked_, 11, kNow).warm.empty())
      << "it may be the request of `a`";
  EXPECT_EQ(Warm(warming.ResponseAcked(3, kNow)), std::vector<std::string>{"b"});
}

TEST_F(WarmingTest, TheAssignmentOfAReplacedContentIsKnownUntilTheClusterIsWarm) {
  Warming warming = Make(true);
  EXPECT_EQ(warming.ReplacedAssignments("c"), nullptr);
  warming.ClusterSent(Cluster("c", "new"), Cluster("c", "old"), 1);
  ASSERT_NE(warming.ReplacedAssignments("c"), nullptr);
  EXPECT_EQ(warming.ReplacedAssignments("c")->names, std::vector<std::string>{"old"});
  warming.AssignmentAcked(Assignment("new"), 1, {}, 2, kNow);
  EXPECT_EQ(warming.ReplacedAssignments("c"), nullptr);
}

TEST_F(WarmingTest, TheFirstClustersAreWarmTogether) {
  Warming warming = Make(true);
  Table clusters;
  Table assignments;
  for (const char* name : {"a", "b"}) {
    clusters.Set(Cluster(name, name));
    assignments.Set(std::make_shared<Resource>(Assignment(name)));
  }
  warming.FirstClustersSent(clusters, 1);
  EXPECT_TRUE(warming.Contains("a"));
  const Warming::Changes changes = warming.FirstAssignmentsAcked(assignments, 2, kNow);
  EXPECT_TRUE(changes.others);
  EXPECT_TRUE(warming.empty());
}

TEST_F(WarmingTest, AnUnknownStateIsOverOnceAllClustersAreAckedAndWarm) {
  Warming warming = Make(true);
  warming.SetUnrecognised();
  warming.ClusterSent(Cluster("c", "e"), nullptr, 1);
  EXPECT_FALSE(warming.ResponseAcked(1, kNow).recognised);
  EXPECT_TRUE(warming.AssignmentAcked(Assignment("e"), 1, {}, 2, kNow).recognised);
  EXPECT_FALSE(warming.unrecognised());
}

}  // namespace
}  // namespace contour::xds
