// SPDX-License-Identifier: Apache-2.0
#include "xds/session/nack_bisection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>

namespace contour::xds {
namespace {

using ::testing::ElementsAre;
using Key = NackBisection::Key;
using Suspects = NackBisection::Suspects;

Key KeyOf(std::size_t i) { return {"r", std::to_string(100000 + i)}; }
constexpr Hash128 kContent{1, 1};

Suspects MakeItems(std::size_t count) {
  Suspects suspects;
  for (std::size_t i = 0; i < count; ++i) suspects.emplace(KeyOf(i), kContent);
  return suspects;
}

// An Envoy that takes what holds none of `bad`.
struct Trial {
  std::set<Key> bad;
  std::set<Key> accepted;
  std::set<Key> culprits;
  std::size_t sent = 0;  // after the first response

  void Run(std::size_t count, const std::string& words = "") {
    NackBisection search;
    const Suspects all = MakeItems(count);
    search.OnNacked(all, words, false, false);
    const auto present = [&](const Key& key, const Hash128&) { return !accepted.contains(key); };
    for (;;) {
      const auto step = search.Advance(present);
      for (const auto& culprit : search.TakeCulprits()) culprits.insert(culprit.key);
      if (step == NackBisection::Step::kOver) break;
      ++sent;
      ASSERT_LT(sent, 100000U);
      if (step == NackBisection::Step::kControl) {
        search.OnAcked([](const Key&, const Hash128&) { return true; });
        continue;
      }
      const auto withholds = [&](const Key& wanted) {
        bool withheld = false;
        search.ForEachWithheld(wanted.first, [&](const Key& key, const Hash128&) {
          withheld = withheld || key == wanted;
        });
        return withheld;
      };
      Suspects carried;
      bool refused = false;
      for (const auto& [key, version] : all) {
        if (accepted.contains(key) || culprits.contains(key) || withholds(key)) continue;
        carried.emplace(key, version);
        refused = refused || bad.contains(key);
      }
      ASSERT_FALSE(carried.empty());
      if (refused) {
        search.OnNacked(carried, words, true, false);
      } else {
        for (const auto& [key, version] : carried) accepted.insert(key);
        search.OnAcked([&](const Key& key, const Hash128&) { return carried.contains(key); });
      }
    }
    EXPECT_FALSE(search.active());
    EXPECT_EQ(culprits, bad);
    EXPECT_EQ(accepted.size(), count - bad.size()) << "good neighbours";
  }
};

std::size_t Bound(std::size_t count) {
  std::size_t log = 0;
  while ((std::size_t{1} << log) < count) ++log;
  return 2 * log;
}

TEST(NackBisection, OneOfMany) {
  for (const std::size_t count : {1, 2, 3, 5, 8, 17, 100, 1000}) {
    for (std::size_t bad = 0; bad < count; bad += count > 100 ? 37 : 1) {
      Trial trial;
      trial.bad = {KeyOf(bad)};
      trial.Run(count);
      EXPECT_LE(trial.sent, Bound(count)) << bad << " of " << count;
    }
  }
}

TEST(NackBisection, TheFiveThousandth) {
  Trial trial;
  trial.bad = {KeyOf(4999)};
  trial.Run(5000);
  EXPECT_LE(trial.sent, Bound(5000));
}

TEST(NackBisection, SeveralAtOnce) {
  std::mt19937 random(1);
  for (int i = 0; i < 200; ++i) {
    const std::size_t count = 2 + random() % 300;
    const std::size_t bad = 1 + random() % 6;
    Trial trial;
    while (trial.bad.size() < std::min(bad, count)) trial.bad.insert(KeyOf(random() % count));
    trial.Run(count);
    EXPECT_LE(trial.sent, trial.bad.size() * Bound(count) + 1) << i;
  }
}

TEST(NackBisection, EverythingIsBad) {
  Trial trial;
  for (std::size_t i = 0; i < 20; ++i) trial.bad.insert(KeyOf(i));
  trial.Run(20);
}

TEST(NackBisection, WordsThatNameItAreTriedFirst) {
  Trial trial;
  trial.bad = {KeyOf(700)};
  trial.Run(1000, "Only unique values: Duplicate entry of domain 100700 in route r");
  EXPECT_EQ(trial.sent, 1U) << "all but it";
}

TEST(NackBisection, WordsThatNameSeveral) {
  Trial trial;
  trial.bad = {KeyOf(3), KeyOf(700)};
  trial.Run(1000, "Error adding/updating cluster(s) 100003: no, 100700: no");
  EXPECT_LE(trial.sent, 3U);
}

TEST(NackBisection, WordsThatNameAnInnocent) {
  Trial trial;
  trial.bad = {KeyOf(700)};
  trial.Run(1000, "100001");
  EXPECT_LE(trial.sent, Bound(1000) + 1);
}

TEST(NackBisection, ContentThatChangesLeavesAndNothingIsInferredFromIt) {
  NackBisection search;
  const Suspects all = MakeItems(4);
  search.OnNacked(all, "no", false, false);
  bool mended = false;
  const auto present = [&](const Key& key, const Hash128&) { return !mended || key != KeyOf(2); };
  ASSERT_EQ(search.Advance(present), NackBisection::Step::kTest);  // 0 and 1
  search.OnAcked([](const Key&, const Hash128&) { return true; });
  mended = true;  // 2 was the bad one of 2 and 3
  std::set<Key> accepted = {KeyOf(0), KeyOf(1)};
  ASSERT_EQ(search.Advance(present), NackBisection::Step::kTest);
  EXPECT_EQ(search.test().size(), 1U);
  search.OnAcked([](const Key&, const Hash128&) { return true; });
  EXPECT_EQ(search.Advance(present), NackBisection::Step::kOver);
  EXPECT_TRUE(search.TakeCulprits().empty());
}

TEST(NackBisection, ATestThatWasNotSentAsAWholeProvesNothing) {
  NackBisection search;
  search.OnNacked(MakeItems(2), "no", false, false);
  const auto present = [](const Key&, const Hash128&) { return true; };
  ASSERT_EQ(search.Advance(present), NackBisection::Step::kTest);
  search.OnAcked([](const Key&, const Hash128&) { return false; });
  ASSERT_EQ(search.Advance(present), NackBisection::Step::kTest) << "of the other";
  EXPECT_TRUE(search.TakeCulprits().empty());
}

TEST(NackBisection, AControlAfterManyInARow) {
  NackBisection search;
  search.OnNacked(MakeItems(100), "no", false, false);
  std::set<Key> culprits;
  const auto present = [&](const Key& key, const Hash128&) { return !culprits.contains(key); };
  std::size_t sent = 0;
  for (;;) {
    const auto step = search.Advance(present);
    for (const auto& culprit : search.TakeCulprits()) culprits.insert(culprit.key);
    if (step == NackBisection::Step::kControl) break;
    ASSERT_EQ(step, NackBisection::Step::kTest);
    ASSERT_LT(++sent, 200U);
    search.OnNacked(search.test(), "no", true, false);
  }
  EXPECT_EQ(culprits.size(), NackBisection::kFruitless);
  EXPECT_EQ(search.GiveUp().size(), 92U);
  EXPECT_FALSE(search.active());
}

TEST(Names, AsAWhole) {
  EXPECT_TRUE(Names("domain foo.com in route", "foo.com"));
  EXPECT_TRUE(Names("foo.com", "foo.com"));
  EXPECT_TRUE(Names("about foo.com.", "foo.com"));
  EXPECT_TRUE(Names("cluster(s) default/a/80: no, default/b/80: no", "default/b/80"));
  EXPECT_TRUE(Names("barfoo.com foo.com", "foo.com")) << "the second";
  EXPECT_FALSE(Names("domain foo.com.au", "foo.com"));
  EXPECT_FALSE(Names("domain a.foo.com", "foo.com"));
  EXPECT_FALSE(Names("xfoo.com", "foo.com"));
  EXPECT_FALSE(Names("VirtualHosts", "Virtual"));
  EXPECT_FALSE(Names("anything", ""));
}

}  // namespace
}  // namespace contour::xds
