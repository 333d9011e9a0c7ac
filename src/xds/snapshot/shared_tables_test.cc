// SPDX-License-Identifier: Apache-2.0

#include "xds/snapshot/shared_tables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "xds/snapshot/snapshot.h"

namespace contour::xds {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr auto kCDS = ResourceType::kCluster;
constexpr auto kEDS = ResourceType::kEndpoints;
constexpr auto kRDS = ResourceType::kRoutes;

std::vector<std::string> NamesOf(const SharedTables::List& list) {
  std::vector<std::string> names;
  for (const ResourcePtr& resource : *list) names.push_back(resource->name);
  return names;
}

class SharedTablesTest : public testing::Test {
 protected:
  SharedTablesTest() : editor_(nullptr) {
    Cluster("b", WarmBy::kAssignment, "eb");
    Cluster("a", WarmBy::kAssignment, "ea");
    Cluster("dns", WarmBy::kAcknowledgement, "");
    Cluster("checked", WarmBy::kAcknowledgement, "ec");
    Cluster("empty", WarmBy::kAssignment, "ee");
    for (const char* name : {"ea", "eb", "ec"}) editor_.Set(kEDS, {.name = name, .bytes = name});
    editor_.Set(kEDS, {.name = "ee", .bytes = "ee", .without_endpoints = true});
    snapshot_ = editor_.Commit();
  }
  void Cluster(const std::string& name, WarmBy warm_by, const std::string& assignment) {
    Resource cluster{.name = name, .bytes = name};
    cluster.warm_by = warm_by;
    cluster.assignment = assignment;
    editor_.Set(kCDS, cluster);
  }
  const Table& clusters() const { return snapshot_->table(kCDS); }
  const Table& assignments() const { return snapshot_->table(kEDS); }

  SnapshotEditor editor_;
  SnapshotPtr snapshot_;
  SharedTables shared_;
};

TEST_F(SharedTablesTest, ListsAreMadeOnceAndKeptAsLongAsSomebodyHoldsThem) {
  const SharedTables::List sorted = shared_.Sorted(clusters());
  EXPECT_THAT(NamesOf(sorted), ElementsAre("a", "b", "checked", "dns", "empty"));
  EXPECT_EQ(shared_.Sorted(clusters()), sorted);
  const std::weak_ptr<const std::vector<ResourcePtr>> other = shared_.Sorted(assignments());
  EXPECT_TRUE(other.expired());
}

TEST_F(SharedTablesTest, ClustersAreDividedByHowTheyWarm) {
  EXPECT_THAT(NamesOf(shared_.WarmOtherwise(clusters())),
              testing::UnorderedElementsAre("checked", "dns"));
  EXPECT_THAT(NamesOf(shared_.WithoutEndpoints(clusters(), assignments())), ElementsAre("empty"));
  Table fewer = assignments();
  fewer.Remove("eb");
  EXPECT_THAT(NamesOf(shared_.WithoutEndpoints(clusters(), fewer)),
              testing::UnorderedElementsAre("b", "empty"));
}

TEST_F(SharedTablesTest, ASubsetHasJustTheNamesAndIsTheTableIfItHasAll) {
  const auto some = shared_.Subset(assignments(), shared_.MakeNames({"ea", "ec"}));
  ASSERT_NE(some, nullptr);
  EXPECT_EQ(some->size(), 2U);
  EXPECT_TRUE(some->Contains("ec"));
  const auto all = shared_.Subset(assignments(), shared_.MakeNames({"ea", "eb", "ec", "ee"}));
  ASSERT_NE(all, nullptr);
  EXPECT_EQ(all->root(), assignments().root());
  EXPECT_EQ(shared_.Subset(assignments(), shared_.MakeNames({"ea", "missing"})), nullptr);
}

TEST_F(SharedTablesTest, AResourceThatNamesAClusterThatIsMissingIsNoticed) {
  editor_.SetPart(kRDS, "good", {.name = "h", .bytes = "h", .clusters = {"a", "b"}});
  editor_.SetPart(kRDS, "bad", {.name = "h", .bytes = "h", .clusters = {"a", "gone"}});
  const SnapshotPtr next = editor_.Commit();
  EXPECT_TRUE(*shared_.HasAllClusters(clusters(), *next->Find(kRDS, "good")));
  EXPECT_FALSE(*shared_.HasAllClusters(clusters(), *next->Find(kRDS, "bad")));
  EXPECT_FALSE(*shared_.HasAllClusters(clusters(), next->table(kRDS)));
}

TEST_F(SharedTablesTest, EqualTablesShareTheirNodes) {
  Table first = clusters();
  first.Remove("dns");
  Table second = clusters();
  second.Remove("dns");
  EXPECT_NE(first.root(), second.root());
  shared_.Share(first);
  shared_.Share(second);
  EXPECT_EQ(first.root(), second.root());
}

TEST(Recent, HoldsWhatWasUsedUntilItWasntForAWhile) {
  Recent recent;
  auto value = std::make_shared<int>(1);
  const std::weak_ptr<int> left = value;
  recent.Use(value);
  recent.Use(value);
  value.reset();
  recent.Age();
  EXPECT_FALSE(left.expired()) << "it was used since the time before";
  recent.Use(left.lock());
  recent.Age();
  EXPECT_FALSE(left.expired());
  recent.Age();
  EXPECT_TRUE(left.expired());
  EXPECT_TRUE(recent.empty());
}

TEST(Recent, HoldsABoundedNumber) {
  Recent recent;
  std::vector<std::weak_ptr<int>> values;
  for (std::size_t i = 0; i < Recent::kMost + 3; ++i) {
    auto value = std::make_shared<int>(1);
    values.push_back(value);
    recent.Use(value);
  }
  EXPECT_TRUE(values[2].expired());
  EXPECT_FALSE(values[3].expired());
}

}  // namespace
}  // namespace contour::xds
