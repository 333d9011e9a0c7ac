// SPDX-License-Identifier: Apache-2.0
#include "xds/session/secret_subscriptions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace contour::xds {
namespace {

using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

TEST(SecretSubscriptions, RemembersSoManyUnknownNames) {
  SecretSubscriptions asked;
  for (std::size_t i = 0; i < SecretSubscriptions::kUnknown; ++i)
    EXPECT_TRUE(asked.Add(std::to_string(i), false));
  EXPECT_TRUE(asked.Add("0", false));  // known of already
  EXPECT_FALSE(asked.forgot());
  EXPECT_FALSE(asked.Add("more", false));
  EXPECT_TRUE(asked.forgot());
  EXPECT_TRUE(asked.Add("exists", true));
  EXPECT_EQ(asked.unknown(), SecretSubscriptions::kUnknown);

  asked.SetExists("0", true);  // makes room for one
  EXPECT_TRUE(asked.Add("more", false));
  asked.Remove("1");
  EXPECT_TRUE(asked.Add("even more", false));
  EXPECT_FALSE(asked.Add("too many", false));
  EXPECT_TRUE(asked.forgot());
}

TEST(SecretSubscriptions, FindsSpellings) {
  SecretSubscriptions asked;
  EXPECT_TRUE(asked.Add("a.example", true));
  EXPECT_THAT(asked.SpellingsOf("a.example"), IsEmpty());
  EXPECT_TRUE(asked.Add("A.example", true));
  EXPECT_TRUE(asked.Add("a.EXAMPLE", true));
  EXPECT_THAT(asked.SpellingsOf("a.example"), UnorderedElementsAre("A.example", "a.EXAMPLE"));
  asked.Remove("A.example");
  EXPECT_THAT(asked.SpellingsOf("a.example"), UnorderedElementsAre("a.EXAMPLE"));
  asked.Remove("a.EXAMPLE");
  EXPECT_THAT(asked.SpellingsOf("a.example"), IsEmpty());
}

TEST(SecretSubscriptions, RemembersSoManySpellings) {
  SecretSubscriptions asked;
  for (std::size_t i = 0; i < SecretSubscriptions::kSpellings; ++i)
    EXPECT_TRUE(asked.Add("A" + std::to_string(i), i % 2 == 0));
  EXPECT_FALSE(asked.Add("B", true));
  EXPECT_TRUE(asked.forgot());
  EXPECT_TRUE(asked.Add("A0", true));
  EXPECT_TRUE(asked.Add("b", true));
  asked.Remove("A0");
  EXPECT_TRUE(asked.Add("B", true));
}

}  // namespace
}  // namespace contour::xds
