// SPDX-License-Identifier: Apache-2.0
#include "xds/session/pending_names.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

namespace contour::xds {
namespace {

std::vector<std::string> Texts(const std::vector<PendingNames::Name>& names) {
  std::vector<std::string> texts;
  for (const PendingNames::Name& name : names)
    texts.push_back(*name.name + (name.force ? "!" : ""));
  return texts;
}

TEST(PendingNames, ANameIsThereOnceAndRemainsForced) {
  PendingNames pending;
  pending.Add("b", true);
  pending.Add("b", false);
  pending.Add(MakeName("a"), false);
  EXPECT_EQ(Texts(pending.Take(PendingNames::kAll)), (std::vector<std::string>{"a", "b!"}));
  EXPECT_TRUE(pending.idle());
}

TEST(PendingNames, OfManyNamesTheRestHasItsTurnLater) {
  PendingNames pending;
  std::set<std::string> all;
  for (int i = 0; i < 10; ++i) {
    all.insert(std::to_string(i));
    pending.Add(std::to_string(i), false);
  }
  std::set<std::string> taken;
  for (const std::size_t expected : {4U, 4U, 2U}) {
    EXPECT_TRUE(pending.some());
    const std::vector<std::string> texts = Texts(pending.Take(4));
    EXPECT_EQ(texts.size(), expected);
    EXPECT_TRUE(std::is_sorted(texts.begin(), texts.end()));
    taken.insert(texts.begin(), texts.end());
  }
  EXPECT_EQ(taken, all);
  EXPECT_FALSE(pending.some());
}

TEST(PendingNames, WhatIsPutBackWaitsUntilSomethingIsAdded) {
  PendingNames pending;
  pending.Add("a", true);
  pending.PutBack(pending.Take(PendingNames::kAll));
  EXPECT_TRUE(pending.stalled());
  pending.Add("b", false);
  EXPECT_FALSE(pending.stalled());
  EXPECT_EQ(Texts(pending.Take(PendingNames::kAll)), (std::vector<std::string>{"a!", "b"}));
}

}  // namespace
}  // namespace contour::xds
