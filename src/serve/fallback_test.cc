// SPDX-License-Identifier: Apache-2.0
#include "serve/fallback.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

namespace contour::serve {
namespace {

namespace fs = std::filesystem;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using testing::HasSubstr;

xds::SnapshotPtr Hosts(int hosts) {
  xds::SnapshotEditor editor(nullptr);
  for (int i = 0; i < hosts; ++i)
    editor.Set(xds::ResourceType::kCluster, {.name = std::to_string(i), .bytes = "c"});
  return editor.Commit();
}

class FallbackTest : public testing::Test {
 protected:
  FallbackTest() {
    fs::remove_all(directory_);
    fs::create_directories(directory_);
  }
  ~FallbackTest() override {
    fallback_.reset();
    fs::remove_all(directory_);
  }

  void Write(int hosts) {
    ASSERT_TRUE(xds::WriteSnapshotFile(path_, *Hosts(hosts), hosts, xds::OldFile::kKeep).ok());
  }
  void Start(Fallback::Options options = {
                 .patience_while_away = 20ms, .patience_while_unknown = 20ms, .patience = 10s}) {
    options.path = path_;
    fallback_ = std::make_unique<Fallback>(
        options,
        Fallback::Hooks{.away = [this] { return away_.load(); },
                        .unknown =
                            [this] {
                              const MutexLock lock(mutex_);
                              return unknown_;
                            },
                        .publish =
                            [this](const xds::SnapshotPtr& snapshot) {
                              const MutexLock lock(mutex_);
                              published_ = snapshot;
                            },
                        .remember = [this](const xds::SnapshotPtr& past) { remembered_ = past; },
                        .served = [this] { served_ = true; }});
    fallback_->Start();
  }
  void SetUnknown(const std::string& unknown) {
    const MutexLock lock(mutex_);
    unknown_ = unknown;
  }
  bool WaitServed(std::chrono::milliseconds time = 5s) const {
    const auto end = std::chrono::steady_clock::now() + time;
    while (!served_ && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(1ms);
    return served_;
  }
  std::size_t Published() {
    const MutexLock lock(mutex_);
    return published_ == nullptr ? 0 : published_->table(xds::ResourceType::kCluster).size();
  }

  const fs::path directory_ =
      fs::path(testing::TempDir()) / testing::UnitTest::GetInstance()->current_test_info()->name();
  const std::string path_ = directory_ / "snapshot";
  std::atomic<bool> away_ = false;
  std::atomic<bool> served_ = false;
  Mutex mutex_;
  std::string unknown_ ABSL_GUARDED_BY(mutex_);
  xds::SnapshotPtr published_ ABSL_GUARDED_BY(mutex_);
  xds::SnapshotPtr remembered_;  // by Start
  std::unique_ptr<Fallback> fallback_;
};

TEST_F(FallbackTest, RemembersTheContentOfTheFileServedOrNot) {
  Start();
  EXPECT_EQ(remembered_, nullptr) << "there is no file yet";
  fallback_.reset();
  Write(3);
  Start();
  ASSERT_NE(remembered_, nullptr);
  EXPECT_EQ(remembered_->Version(), Hosts(3)->Version());
  fallback_->Publish(Hosts(4));
  EXPECT_EQ(Published(), 4U);
}

TEST_F(FallbackTest, ServesTheFileWhileTheServerIsAway) {
  Write(3);
  Start();
  EXPECT_FALSE(WaitServed(300ms)) << "the live build is the better one";
  away_ = true;
  ASSERT_TRUE(WaitServed());
  EXPECT_EQ(Published(), 3U);
  EXPECT_THAT(fallback_->Remark(), HasSubstr("serving from the snapshot file"));
}

TEST_F(FallbackTest, ServesTheFileWhileAKindIsUnknown) {
  Write(3);
  Start();
  SetUnknown("Secret: HTTP 403");
  ASSERT_TRUE(WaitServed());
  EXPECT_EQ(Published(), 3U);
}

TEST_F(FallbackTest, WaitsAMomentForAServerOnItsWayUp) {
  Write(3);
  SetUnknown("Secret: HTTP 403");
  Start({.patience_while_away = 20ms, .patience_while_unknown = 10s, .patience = 10s});
  EXPECT_FALSE(WaitServed(300ms));
}

TEST_F(FallbackTest, TheFileIsNotTouchedBeforeALiveBuild) {
  Write(3);
  const auto before = fs::last_write_time(path_);
  SetUnknown("Secret: HTTP 403");
  Start();
  ASSERT_TRUE(WaitServed());
  fallback_->Stop();
  EXPECT_EQ(fs::last_write_time(path_), before);
  EXPECT_FALSE(fs::exists(xds::PreviousSnapshotFile(path_)));
}

TEST_F(FallbackTest, AFileThatCannotBeUsedGivesWayToThePrevious) {
  for (const bool missing : {false, true}) {
    SCOPED_TRACE(missing);
    fs::remove_all(directory_);
    fs::create_directories(directory_);
    Write(2);
    Write(3);
    if (missing) {
      fs::remove(path_);
    } else {
      std::ofstream(path_) << "damaged";
    }
    served_ = false;
    away_ = true;
    Start();
    ASSERT_TRUE(WaitServed());
    EXPECT_EQ(Published(), 2U);
    // The live build is equal. The file is written all the same, and the previous one stays.
    fallback_->Publish(Hosts(2));
    fallback_->Stop();
    EXPECT_EQ(xds::ReadSnapshotFile(path_)->snapshot->Version(), Hosts(2)->Version());
    EXPECT_EQ(xds::ReadSnapshotFile(xds::PreviousSnapshotFile(path_))->written, 2);
  }
}

TEST_F(FallbackTest, ALiveBuildEndsIt) {
  Write(3);
  away_ = true;
  Start();
  ASSERT_TRUE(WaitServed());
  fallback_->Publish(Hosts(4));
  EXPECT_EQ(Published(), 4U);
  EXPECT_EQ(fallback_->Remark(), "");
}

}  // namespace
}  // namespace contour::serve
