// SPDX-License-Identifier: Apache-2.0

#include "base/strings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace contour {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Quote, EscapesAsGoDoes) {
  EXPECT_EQ(Quote("/foo"), "\"/foo\"");
  EXPECT_EQ(Quote("a\"b\\c"), "\"a\\\"b\\\\c\"");
  EXPECT_EQ(Quote("\n\t\x01"), "\"\\n\\t\\x01\"");
}

TEST(SplitList, TrimsAndDropsEmptyPieces) {
  EXPECT_THAT(SplitList(""), IsEmpty());
  EXPECT_THAT(SplitList(" , ,"), IsEmpty());
  EXPECT_THAT(SplitList(" /ws1, , /ws2 "), ElementsAre("/ws1", "/ws2"));
}

TEST(Trim, TakesBothEnds) {
  EXPECT_EQ(Trim(" \ta b\r\n"), "a b");
  EXPECT_EQ(Trim(" \n"), "");
}

}  // namespace
}  // namespace contour
