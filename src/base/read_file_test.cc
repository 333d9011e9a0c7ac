// SPDX-License-Identifier: Apache-2.0

#include "base/read_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <string>

#include "base/status.h"

namespace contour {
namespace {

using ::testing::EndsWith;
using ::testing::StartsWith;

class ReadFileTest : public ::testing::Test {
 protected:
  ReadFileTest() {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  ~ReadFileTest() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& content) const {
    std::ofstream(path_, std::ios::binary) << content;
    return path_;
  }

  const std::string folder_ = ::testing::TempDir() + "read_file_test";
  const std::string path_ = folder_ + "/file";
};

TEST_F(ReadFileTest, ReturnsAllBytes) {
  for (const std::size_t size : {0UL, 1UL, 4095UL, 4096UL, 4097UL, 1UL << 20}) {
    const std::string content(size, '\0');
    EXPECT_EQ(*ReadFile(Write(content)), content) << size;
  }
}

TEST_F(ReadFileTest, ReadsFilesThatSayThatTheyAreEmpty) {
  EXPECT_FALSE(ReadFile("/proc/self/stat")->empty());
}

TEST_F(ReadFileTest, ReadsPipes) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  const auto writer = std::async(std::launch::async, [&] { Write(std::string(100'000, 'a')); });
  EXPECT_EQ(ReadFile(path_)->size(), 100'000U);
}

TEST_F(ReadFileTest, RefusesPipesWithoutWaiting) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  const absl::Status status = ReadFile(path_, {.only_regular = true}).status();
  EXPECT_EQ(Message(status), path_ + ": not a regular file");
}

TEST_F(ReadFileTest, ErrorsNameThePath) {
  const absl::Status missing = ReadFile(path_).status();
  EXPECT_TRUE(absl::IsNotFound(missing));
  EXPECT_EQ(Message(missing), path_ + ": No such file or directory");
  Write("");
  EXPECT_TRUE(absl::IsNotFound(ReadFile(path_ + "/below").status()));
  const absl::Status folder = ReadFile(folder_).status();
  EXPECT_TRUE(absl::IsUnavailable(folder));
  EXPECT_THAT(std::string(Message(folder)), StartsWith(folder_ + ": "));
}

TEST_F(ReadFileTest, HoldsTheLimit) {
  Write("12345");
  EXPECT_TRUE(ReadFile(path_, {.max_bytes = 5}).ok());
  const absl::Status status = ReadFile(path_, {.max_bytes = 4}).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(Message(status)), EndsWith(": larger than 4 bytes"));
  EXPECT_FALSE(ReadFile("/proc/self/stat", {.max_bytes = 4}).ok());
}

}  // namespace
}  // namespace contour
