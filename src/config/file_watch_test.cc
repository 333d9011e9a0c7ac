// SPDX-License-Identifier: Apache-2.0

#include "config/file_watch.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <vector>

#include "base/status.h"

namespace contour::config {
namespace {

using std::chrono_literals::operator""h;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
namespace fs = std::filesystem;

class FileWatchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::path(::testing::TempDir()) / "file-watch-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  static void Write(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }

  FileWatch::Changed Collect() {
    return [this](const absl::StatusOr<std::string>& now) {
      const std::lock_guard lock(mutex_);
      news_.push_back(now.ok() ? *now : std::string(Message(now.status())));
      arrived_.notify_all();
    };
  }

  // Returns the next news; empty if there is none for 5 s.
  std::string Next() {
    std::unique_lock lock(mutex_);
    if (!arrived_.wait_for(lock, 5s, [this] { return seen_ < news_.size(); })) return "";
    return news_[seen_++];
  }

  fs::path folder_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<std::string> news_;
  std::size_t seen_ = 0;
};

TEST_F(FileWatchTest, WrittenInPlaceAndMovedThere) {
  const fs::path path = folder_ / "contour.yaml";
  Write(path, "a");
  FileWatch watch(path, "a", Collect(), 1h);
  Write(path, "b");
  EXPECT_EQ(Next(), "b");
  Write(folder_ / "new", "c");
  fs::rename(folder_ / "new", path);
  EXPECT_EQ(Next(), "c");
}

TEST_F(FileWatchTest, TheSwapOfAMountedConfigMap) {
  fs::create_directory(folder_ / "..1");
  fs::create_directory(folder_ / "..2");
  Write(folder_ / "..1" / "contour.yaml", "a");
  Write(folder_ / "..2" / "contour.yaml", "b");
  fs::create_directory_symlink("..1", folder_ / "..data");
  fs::create_symlink("..data/contour.yaml", folder_ / "contour.yaml");
  FileWatch watch(folder_ / "contour.yaml", "a", Collect(), 1h);
  fs::create_directory_symlink("..2", folder_ / "..data_tmp");
  fs::rename(folder_ / "..data_tmp", folder_ / "..data");
  EXPECT_EQ(Next(), "b");
}

TEST_F(FileWatchTest, EqualTextIsNoNews) {
  const fs::path path = folder_ / "contour.yaml";
  Write(path, "a");
  FileWatch watch(path, "a", Collect(), 1h);
  Write(folder_ / "new", "a");
  fs::rename(folder_ / "new", path);
  Write(folder_ / "new", "b");
  fs::rename(folder_ / "new", path);
  EXPECT_EQ(Next(), "b");
}

TEST_F(FileWatchTest, SeesChangesWithoutInotifyAfterTheInterval) {
  fs::create_directory(folder_ / "elsewhere");
  Write(folder_ / "elsewhere" / "real", "a");
  fs::create_symlink("elsewhere/real", folder_ / "contour.yaml");
  FileWatch watch(folder_ / "contour.yaml", "a", Collect(), 20ms);
  Write(folder_ / "elsewhere" / "real.new", "b");
  fs::rename(folder_ / "elsewhere" / "real.new", folder_ / "elsewhere" / "real");
  EXPECT_EQ(Next(), "b");
}

TEST_F(FileWatchTest, ReportsAVanishedFileOnceAndItsReturn) {
  const fs::path path = folder_ / "contour.yaml";
  Write(path, "a");
  FileWatch watch(path, "a", Collect(), 20ms);
  fs::remove(path);
  EXPECT_EQ(Next(), "path '" + path.string() + "' does not exist");
  std::this_thread::sleep_for(100ms);
  Write(folder_ / "new", "a");
  fs::rename(folder_ / "new", path);
  EXPECT_EQ(Next(), "a");
}

}  // namespace
}  // namespace contour::config
