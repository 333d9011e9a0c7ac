// SPDX-License-Identifier: Apache-2.0
#include "base/indirect_optional.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>

namespace contour {
namespace {

using Text = IndirectOptional<std::string>;

TEST(IndirectOptionalTest, AnAbsentValueTakesAPointer) { EXPECT_EQ(sizeof(Text), sizeof(void*)); }

TEST(IndirectOptionalTest, IsMadeAsAnOptionalIs) {
  EXPECT_FALSE(Text().has_value());
  EXPECT_FALSE(Text(std::nullopt).has_value());
  EXPECT_FALSE(Text(std::optional<std::string>()));
  EXPECT_EQ(*Text(std::optional<std::string>("a")), "a");
  EXPECT_EQ(Text(std::string("a"))->size(), 1U);
}

TEST(IndirectOptionalTest, ACopyIsAValueOfItsOwn) {
  const Text first(std::string("a"));
  Text copy(first);
  *copy += "b";
  EXPECT_EQ(*first, "a");
  Text assigned(std::string("c"));
  assigned = first;
  *assigned += "d";
  EXPECT_EQ(*first, "a");
  EXPECT_EQ(*assigned, "ad");
  assigned = Text();
  EXPECT_FALSE(assigned);
  const Text& itself = copy;
  copy = itself;
  EXPECT_EQ(*copy, "ab");
}

TEST(IndirectOptionalTest, AValueThatWasMovedFromIsAbsent) {
  Text first(std::string("a"));
  const Text second(std::move(first));
  EXPECT_EQ(*second, "a");
  EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move,hicpp-invalid-access-moved)
}

TEST(IndirectOptionalTest, ComparesValues) {
  EXPECT_EQ(Text(), Text());
  EXPECT_EQ(Text(std::string("a")), Text(std::string("a")));
  EXPECT_FALSE(Text(std::string("a")) == Text(std::string("b")));
  EXPECT_FALSE(Text(std::string("")) == Text());
  EXPECT_FALSE(Text() == Text(std::string("")));
}

TEST(IndirectOptionalTest, CanBeFilledAndEmptied) {
  Text text;
  text.emplace() = "a";
  EXPECT_EQ(*text, "a");
  text = std::string("b");
  EXPECT_EQ(*text, "b");
  text.reset();
  EXPECT_FALSE(text);
}

}  // namespace
}  // namespace contour
