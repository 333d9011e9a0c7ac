// SPDX-License-Identifier: Apache-2.0

#include "xds/snapshot/persistent_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace contour::xds {
namespace {

struct Item {
  std::string name;
  int content = 0;
  Hash128 version;
};
using Map = PersistentMap<Item>;
using Model = std::map<std::string, int>;

Map::Pointer MakeItem(const std::string& name, int content) {
  return std::make_shared<const Item>(Item{name, content, HashPair(name, std::to_string(content))});
}

Model Content(const Map& map) {
  Model content;
  map.ForEach([&](const Map::Pointer& item) { content.emplace(item->name, item->content); });
  return content;
}

std::vector<std::string> Order(const Map& map) {
  std::vector<std::string> names;
  map.ForEach([&](const Map::Pointer& item) { names.push_back(item->name); });
  return names;
}

// Name → before, after; -1 where absent.
std::map<std::string, std::pair<int, int>> Difference(const Map& before, const Map& after) {
  std::map<std::string, std::pair<int, int>> difference;
  Map::Diff(before, after, [&](const Map::Pointer& was, const Map::Pointer& is) {
    const std::string& name = was != nullptr ? was->name : is->name;
    const bool added = difference
                           .emplace(name, std::make_pair(was == nullptr ? -1 : was->content,
                                                         is == nullptr ? -1 : is->content))
                           .second;
    EXPECT_TRUE(added) << name << " reported twice";
  });
  return difference;
}

TEST(PersistentMap, EmptyMapHasNothing) {
  Map map;
  EXPECT_TRUE(map.empty());
  EXPECT_EQ(map.size(), 0U);
  EXPECT_EQ(map.Find("a"), nullptr);
  EXPECT_FALSE(map.Remove("a"));
  EXPECT_EQ(map.version(), Hash128());
}

TEST(PersistentMap, CopiesDoNotSeeLaterChanges) {
  Map before;
  before.Set(MakeItem("a", 1));
  Map after = before;
  after.Set(MakeItem("a", 2));
  after.Set(MakeItem("b", 3));
  EXPECT_EQ(Content(before), (Model{{"a", 1}}));
  EXPECT_EQ(Content(after), (Model{{"a", 2}, {"b", 3}}));
}

TEST(PersistentMap, AnEditAltersNoNodeOfAnother) {
  Map base;
  const EditToken first = NewEditToken();
  for (int i = 0; i < 1000; ++i) base.Set(MakeItem(std::to_string(i), i), first);
  const Model content = Content(base);
  Map edited = base;
  const EditToken second = NewEditToken();
  for (int i = 0; i < 1000; ++i) edited.Set(MakeItem(std::to_string(i), -2), second);
  for (int i = 0; i < 990; ++i) edited.Remove(std::to_string(i), second);
  EXPECT_EQ(Content(base), content);
  EXPECT_EQ(edited.size(), 10U);
}

TEST(PersistentMap, VersionIsThatOfTheContent) {
  Map one;
  one.Set(MakeItem("a", 1));
  one.Set(MakeItem("b", 2));
  Map other;
  other.Set(MakeItem("b", 7));
  other.Set(MakeItem("c", 7));
  other.Set(MakeItem("a", 1));
  EXPECT_NE(one.version(), other.version());
  other.Set(MakeItem("b", 2));
  other.Remove("c");
  EXPECT_EQ(one.version(), other.version());
}

TEST(PersistentMap, EqualVersionsAreNoDifference) {
  Map one;
  one.Set(MakeItem("a", 1));
  Map other;
  other.Set(MakeItem("a", 1));
  EXPECT_TRUE(Difference(one, other).empty());
}

TEST(PersistentMap, SortedIsByName) {
  Map map;
  for (const char* name : {"b", "ab", "", "a", "c"}) map.Set(MakeItem(name, 0));
  std::vector<std::string> names;
  for (const Map::Pointer& item : map.Sorted()) names.push_back(item->name);
  EXPECT_THAT(names, testing::ElementsAre("", "a", "ab", "b", "c"));
}

// Compares random edits, with and without tokens, with std::map; structure and difference with a
// map built from nothing.
class PersistentMapRandom : public testing::TestWithParam<unsigned> {};

TEST_P(PersistentMapRandom, BehavesAsAMap) {
  std::mt19937 random(GetParam());
  const int names = std::vector<int>{3, 20, 200, 5000}[GetParam() % 4];
  Map map;
  Model model;
  Map old = map;
  Model old_model = model;
  EditToken token = kNoEdit;
  for (int step = 0; step < 6000; ++step) {
    const std::string name = "name" + std::to_string(random() % static_cast<unsigned>(names));
    // Phases of growth and of decline, so that leaves split and nodes collapse.
    if (random() % 10 < (step / 1500 % 2 == 0 ? 8U : 2U)) {
      const int content = static_cast<int>(random() % 3);
      map.Set(MakeItem(name, content), token);
      model.insert_or_assign(name, content);
    } else {
      EXPECT_EQ(map.Remove(name, token), model.erase(name) > 0);
    }
    if (random() % 300 != 0) continue;

    ASSERT_EQ(map.size(), model.size());
    ASSERT_EQ(Content(map), model);
    ASSERT_EQ(Content(old), old_model);
    Map fresh;
    for (const auto& [key, content] : model) fresh.Set(MakeItem(key, content));
    EXPECT_EQ(Order(map), Order(fresh));
    EXPECT_EQ(map.version(), fresh.version());
    std::map<std::string, std::pair<int, int>> wanted;
    for (const auto& [key, content] : old_model) {
      const auto at = model.find(key);
      const int now = at == model.end() ? -1 : at->second;
      if (now != content) wanted[key] = {content, now};
    }
    for (const auto& [key, content] : model) {
      if (!old_model.contains(key)) wanted[key] = {-1, content};
    }
    EXPECT_EQ(Difference(old, map), wanted);
    EXPECT_TRUE(Difference(map, fresh).empty());
    old = map;
    old_model = model;
    token = random() % 2 == 0 ? kNoEdit : NewEditToken();
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, PersistentMapRandom, testing::Range(0U, 24U));

}  // namespace
}  // namespace contour::xds
