// SPDX-License-Identifier: Apache-2.0

#include "xds/snapshot/name_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/strings.h"
#include "xds/snapshot/name_map.h"

namespace contour::xds {
namespace {

using ::testing::UnorderedElementsAre;

std::vector<std::string> NamesOf(const NameSet& set) {
  std::vector<std::string> names;
  set.ForEach([&](const NamePtr& name) { names.push_back(*name); });
  return names;
}

std::vector<std::string> Numbered(int count) {
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) names.push_back("default/host-" + std::to_string(i));
  return names;
}

TEST(NameSet, HoldsNamesOnce) {
  NameSet set;
  EXPECT_TRUE(set.empty());
  EXPECT_TRUE(set.Insert("a"));
  EXPECT_TRUE(set.Insert("b"));
  EXPECT_FALSE(set.Insert("a"));
  EXPECT_EQ(set.size(), 2U);
  EXPECT_TRUE(set.Contains("a"));
  EXPECT_FALSE(set.Contains("c"));
  EXPECT_TRUE(set.Erase("a"));
  EXPECT_FALSE(set.Erase("a"));
  EXPECT_THAT(NamesOf(set), UnorderedElementsAre("b"));
}

TEST(NameSet, OfARequestThatRepeatsANameHoldsItOnce) {
  NameSet::Pool pool;
  const NameSet set = NameSet::Make({"a", "b", "a"}, pool);
  EXPECT_THAT(NamesOf(set), UnorderedElementsAre("a", "b"));
}

TEST(NameSet, EqualSetsShareOneCopyWhateverWayLedToThem) {
  NameSet::Pool pool;
  NameSet first = NameSet::Make(Numbered(1000), pool);
  first.Share(pool);
  EXPECT_TRUE(NameSet::Make(Numbered(1000), pool).SharesWith(first));

  NameSet second = NameSet::Make(Numbered(999), pool);
  EXPECT_FALSE(second.SharesWith(first));
  second.Insert("default/host-999");
  EXPECT_FALSE(second.SharesWith(first));
  second.Share(pool);
  EXPECT_TRUE(second.SharesWith(first));
}

TEST(NameSet, AChangeOfOneCopyIsNotSeenByTheOthers) {
  NameSet::Pool pool;
  NameSet first = NameSet::Make(Numbered(1000), pool);
  first.Share(pool);
  NameSet second = NameSet::Make(Numbered(1000), pool);
  const EditToken token = NewEditToken();
  second.Insert("other", token);
  second.Erase("default/host-1", token);
  EXPECT_TRUE(first.Contains("default/host-1"));
  EXPECT_FALSE(first.Contains("other"));
  EXPECT_EQ(first.size(), 1000U);
  second.Share(pool);
  EXPECT_FALSE(second.SharesWith(first));
}

TEST(NameSet, ASetThatNobodyHoldsIsForgotten) {
  NameSet::Pool pool;
  for (int i = 1; i <= 1000; ++i) {
    NameSet set = NameSet::Make(Numbered(i % 100 + 1), pool);
    set.Insert("only-" + std::to_string(i));
    set.Share(pool);
  }
  EXPECT_LE(pool.size(), 3U);
}

TEST(NameMap, FindsByTextAndKeepsTheNamesOwner) {
  auto resource = std::make_shared<Resource>();
  resource->name = "kuard";
  NameMap<int> map;
  map[NameOf(resource)] = 1;
  resource.reset();
  EXPECT_EQ(map.find(std::string_view("kuard"))->second, 1);
  EXPECT_EQ(map.count(MakeName("kuard")), 1U);
  EXPECT_EQ(map.find(std::string_view("other")), map.end());
}

TEST(NameMap, AnEmptyContainerGivesItsBucketsBack) {
  StringMap<int> map;
  for (const std::string& name : Numbered(1000)) map[name] = 1;
  const std::size_t many = map.bucket_count();
  FreeIfEmpty(map);
  EXPECT_EQ(map.bucket_count(), many) << "it isn't empty";
  map.clear();
  FreeIfEmpty(map);
  EXPECT_LT(map.bucket_count(), 64U);
}

}  // namespace
}  // namespace contour::xds
