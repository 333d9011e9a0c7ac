// SPDX-License-Identifier: Apache-2.0

#include "xds/session/tally.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <string>

namespace contour::xds {
namespace {

TEST(Share, CountsAsLongAsItsValueLives) {
  std::size_t sum = 0;
  {
    std::map<std::string, Share> values;
    values.insert_or_assign("a", Share(sum, 2));
    values.insert_or_assign("b", Share(sum, 3));
    EXPECT_EQ(sum, 5U);
    values.insert_or_assign("a", Share(sum, 7));
    EXPECT_EQ(sum, 10U);
    values.at("b").Change(1);
    EXPECT_EQ(sum, 8U);
    values.erase("a");
    EXPECT_EQ(sum, 1U);
    Share moved = std::move(values.at("b"));
    values.clear();
    EXPECT_EQ(sum, 1U);
    Share none;
    none.Change(5);
    moved = std::move(none);
    EXPECT_EQ(sum, 0U);
  }
  EXPECT_EQ(sum, 0U);
}

TEST(Times, KnowTheEarliest) {
  Times times;
  const Times::Time start{};
  std::deque<TimeMark> marks;
  EXPECT_FALSE(times.Earliest().has_value());
  for (const int second : {3, 1, 1, 2})
    marks.emplace_back(times, start + std::chrono::seconds(second));
  EXPECT_EQ(times.Earliest(), start + std::chrono::seconds(1));
  marks.pop_front();
  const TimeMark kept = std::move(marks.front());
  marks.pop_front();
  marks.pop_front();
  EXPECT_EQ(times.Earliest(), start + std::chrono::seconds(1));
  marks.front() = TimeMark(times, start + std::chrono::seconds(5));
  EXPECT_EQ(times.Earliest(), start + std::chrono::seconds(1));
  marks.clear();
  EXPECT_EQ(times.Earliest(), start + std::chrono::seconds(1));
}

}  // namespace
}  // namespace contour::xds
