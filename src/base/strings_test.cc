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

TEST(OneLine, QuotesOnlyWhatWouldBreakTheLine) {
  EXPECT_EQ(OneLine("a \"b\" \xc3\x84"), "a \"b\" \xc3\x84");
  EXPECT_EQ(OneLine("a\nb"), R"("a\nb")");
  EXPECT_EQ(OneLine("\x7f"), R"("\x7f")");
  EXPECT_EQ(OneLine(""), "");
}

TEST(LowerCase, LettersOfAsciiOnly) {
  EXPECT_EQ(LowerCase("WWW.Example.COM-[09]@`{"), "www.example.com-[09]@`{");
  EXPECT_EQ(LowerCase("\xc3\x84"), "\xc3\x84");
  EXPECT_EQ(LowerCase(""), "");
}

TEST(Trim, TakesBothEnds) {
  EXPECT_EQ(Trim(" \ta b\r\n"), "a b");
  EXPECT_EQ(Trim(" \n"), "");
}

}  // namespace
}  // namespace contour
