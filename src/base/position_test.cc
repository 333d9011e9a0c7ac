// SPDX-License-Identifier: Apache-2.0

#include "base/position.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"

namespace contour {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

FieldStep Key(const char* key) { return std::string(key); }
FieldStep Index(std::size_t index) { return index; }

TEST(PositionAt, CountsFromOne) {
  EXPECT_EQ(PositionAt("", 0), (Position{1, 1}));
  EXPECT_EQ(PositionAt("ab\ncd", 1), (Position{1, 2}));
  EXPECT_EQ(PositionAt("ab\ncd", 2), (Position{1, 3}));
  EXPECT_EQ(PositionAt("ab\ncd", 3), (Position{2, 1}));
  EXPECT_EQ(PositionAt("ab\ncd", 99), (Position{2, 3}));
}

TEST(SplitFieldPath, Table) {
  EXPECT_THAT(SplitFieldPath(""), IsEmpty());
  EXPECT_THAT(SplitFieldPath("spec"), ElementsAre(Key("spec")));
  EXPECT_THAT(SplitFieldPath("spec.routes[12].match"),
              ElementsAre(Key("spec"), Key("routes"), Index(12), Key("match")));
  EXPECT_THAT(
      SplitFieldPath("items[0].metadata.annotations[\"a.b/c\"]"),
      ElementsAre(Key("items"), Index(0), Key("metadata"), Key("annotations"), Key("a.b/c")));
  EXPECT_THAT(SplitFieldPath("a[0][1]"), ElementsAre(Key("a"), Index(0), Index(1)));
}

TEST(ErrorAt, BeginsWithThePlace) {
  EXPECT_EQ(Message(ErrorAt({3, 7}, "no")), "line 3, column 7: no");
}

TEST(CheckCharacters, Table) {
  EXPECT_TRUE(CheckCharacters("tab\t, line ends\r\n, é, \xf0\x9f\x98\x80").ok());
  EXPECT_EQ(Message(CheckCharacters(std::string_view("a\n\0", 3))),
            "line 2, column 1: control character 0x00");
  EXPECT_EQ(Message(CheckCharacters("ok\nok\nno \xc0\xaf\n")), "line 3, column 1: not UTF-8");
  EXPECT_EQ(Message(CheckCharacters("cut \xe2\x82")), "line 1, column 1: not UTF-8");
}

}  // namespace
}  // namespace contour
