// SPDX-License-Identifier: Apache-2.0

#include "kube/line_framer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace contour::kube {
namespace {

using testing::ElementsAre;

std::vector<std::string> Feed(LineFramer& framer, std::string_view chunk) {
  std::vector<std::string> lines;
  EXPECT_TRUE(framer.Feed(chunk, [&](std::string_view line) {
    lines.emplace_back(line);
    return true;
  }));
  return lines;
}

TEST(LineFramerTest, SplitAnywhereGivesTheSame) {
  const std::string text = "one\n\ntwo\r\n{\"a\":1}\n\r\nlast without end";
  for (std::size_t first = 0; first <= text.size(); ++first) {
    for (std::size_t second = first; second <= text.size(); ++second) {
      LineFramer framer(100);
      std::vector<std::string> lines;
      for (const std::string& piece :
           {text.substr(0, first), text.substr(first, second - first), text.substr(second)}) {
        for (const std::string& line : Feed(framer, piece)) lines.push_back(line);
      }
      ASSERT_THAT(lines, ElementsAre("one", "two", "{\"a\":1}")) << first << " " << second;
      ASSERT_EQ(framer.pending(), std::string("last without end").size());
    }
  }
}

TEST(LineFramerTest, LinesAboveTheLimitAreSkippedAndCounted) {
  const std::string text = "12345\n123456\n1\n1234567890123\n12\n";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    LineFramer framer(5);
    std::vector<std::string> lines = Feed(framer, text.substr(0, cut));
    EXPECT_LE(framer.pending(), 5u);
    for (const std::string& line : Feed(framer, text.substr(cut))) lines.push_back(line);
    EXPECT_THAT(lines, ElementsAre("12345", "1", "12")) << cut;
    EXPECT_EQ(framer.skipped(), 2u) << cut;
  }
}

TEST(LineFramerTest, AnEndlessLineHoldsNoMemory) {
  LineFramer framer(1000);
  for (int i = 0; i < 100; ++i) Feed(framer, std::string(100, 'x'));
  EXPECT_EQ(framer.pending(), 0u);
  EXPECT_THAT(Feed(framer, "\nnext\n"), ElementsAre("next"));
}

TEST(LineFramerTest, StopsWhenTheCallbackReturnsFalse) {
  LineFramer framer(100);
  std::vector<std::string> lines;
  const auto stop_at_b = [&](std::string_view line) {
    lines.emplace_back(line);
    return line != "b";
  };
  EXPECT_FALSE(framer.Feed("a\nb\nc\n", stop_at_b));
  EXPECT_THAT(lines, ElementsAre("a", "b"));
  framer.Reset();
  EXPECT_THAT(Feed(framer, "d\n"), ElementsAre("d"));
}

TEST(LineFramerTest, ResetForgetsTheUnfinishedLineAndMayBeCalledInside) {
  LineFramer framer(10);
  Feed(framer, "half");
  framer.Reset();
  EXPECT_THAT(Feed(framer, "whole\n"), ElementsAre("whole"));
  Feed(framer, "much too long a line");
  framer.Reset();
  EXPECT_THAT(Feed(framer, "next\n"), ElementsAre("next"));
  Feed(framer, "par");
  EXPECT_FALSE(framer.Feed("tial\nrest", [&](std::string_view line) {
    EXPECT_EQ(line, "partial");
    framer.Reset();
    return false;
  }));
  EXPECT_EQ(framer.pending(), 0u);
}

}  // namespace
}  // namespace contour::kube
