// SPDX-License-Identifier: Apache-2.0

#include "base/memory.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace contour {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

TEST(WorthReturning, AMebibyteAndASixteenthMoreThanStayedLastTime) {
  EXPECT_FALSE(WorthReturning({.resident = 11 * kMiB, .used = 10 * kMiB}, 0));
  EXPECT_TRUE(WorthReturning({.resident = 12 * kMiB, .used = 10 * kMiB}, 0));
  EXPECT_FALSE(WorthReturning({.resident = 12 * kMiB, .used = 10 * kMiB}, 2 * kMiB));
  EXPECT_FALSE(WorthReturning({.resident = 315 * kMiB, .used = 300 * kMiB}, 0));
  EXPECT_TRUE(WorthReturning({.resident = 325 * kMiB, .used = 300 * kMiB}, 0));
  EXPECT_FALSE(WorthReturning({.resident = 0, .used = 10 * kMiB}, 0));
}

// Allocates small blocks and keeps every hundredth, so that the allocator gives nothing back by
// itself.
TEST(HeapTrimmer, GivesBackWhatIsFree) {
#ifdef CONTOUR_SANITIZED
  GTEST_SKIP() << "the sanitizer's allocator keeps what is freed, on purpose";
#endif
  std::vector<std::unique_ptr<char[]>> blocks;
  for (int i = 0; i < 100'000; ++i) blocks.push_back(std::make_unique<char[]>(1000));
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (i % 100 != 0) blocks[i] = nullptr;
  }
  const HeapUse before = MeasureHeap();
  ASSERT_TRUE(WorthReturning(before, 0)) << before.resident << " " << before.used;
  const HeapTrimmer trimmer(std::chrono::milliseconds(1));
  HeapUse after = before;
  for (int i = 0; i < 1000 && after.resident + 50 * kMiB >= before.resident; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    after = MeasureHeap();
  }
  EXPECT_LT(after.resident + 50 * kMiB, before.resident);
}

TEST(HeapTrimmer, EndsAtOnce) {
  const auto begin = std::chrono::steady_clock::now();
  {
    const HeapTrimmer trimmer(std::chrono::hours(1));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

}  // namespace
}  // namespace contour
