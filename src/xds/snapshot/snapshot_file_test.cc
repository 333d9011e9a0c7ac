// SPDX-License-Identifier: Apache-2.0

#include "xds/snapshot/snapshot_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/status.h"

namespace contour::xds {
namespace {

namespace fs = std::filesystem;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using testing::HasSubstr;

// Something of everything that a resource can have.
SnapshotPtr Example(int hosts = 3) {
  SnapshotEditor editor(nullptr);
  Resource cluster{.name = "default/kuard/80/da39a3ee5e", .bytes = std::string("a\0b", 3)};
  cluster.warm_by = WarmBy::kAssignment;
  cluster.assignment = "default/kuard";
  editor.Set(ResourceType::kCluster, cluster);
  Resource dns{.name = "default/dns/80/da39a3ee5e", .bytes = "dns"};
  dns.warm_time = 1500ms;
  editor.Set(ResourceType::kCluster, dns);
  editor.Set(ResourceType::kEndpoints,
             {.name = "default/kuard", .bytes = "", .without_endpoints = true});
  editor.Set(ResourceType::kListener, {.name = "tcp", .bytes = "l", .clusters = {dns.name}});
  editor.Set(ResourceType::kSecret, {.name = "default/tls", .bytes = "PRIVATE KEY"});
  editor.SetHead(ResourceType::kRoutes, "ingress_http", "head", {dns.name});
  for (int i = 0; i < hosts; ++i) {
    editor.SetPart(ResourceType::kRoutes, "ingress_http",
                   {.name = "host-" + std::to_string(i),
                    .bytes = std::string(100, 'x'),
                    .clusters = {cluster.name}});
  }
  editor.SetHead(ResourceType::kRoutes, "ingress_https", "no parts");
  return editor.Commit();
}

// Everything but `parts`, of both.
void ExpectEqual(const Resource& a, const Resource& b) {
  EXPECT_EQ(a.name, b.name);
  EXPECT_EQ(a.bytes, b.bytes);
  EXPECT_EQ(a.clusters, b.clusters);
  EXPECT_EQ(a.warm_by, b.warm_by);
  EXPECT_EQ(a.assignment, b.assignment);
  EXPECT_EQ(a.warm_time, b.warm_time);
  EXPECT_EQ(a.without_endpoints, b.without_endpoints);
  EXPECT_EQ(a.version, b.version);
  EXPECT_EQ(a.parts.size(), b.parts.size());
  a.parts.ForEach([&](const PartPtr& part) {
    const PartPtr other = b.parts.Find(part->name);
    ASSERT_NE(other, nullptr) << part->name;
    EXPECT_EQ(part->bytes, other->bytes);
    EXPECT_EQ(part->clusters, other->clusters);
    EXPECT_EQ(part->version, other->version);
  });
}

std::string ErrorOf(const absl::StatusOr<SavedSnapshot>& saved) {
  return saved.ok() ? "no error" : std::string(Message(saved.status()));
}

TEST(SnapshotFile, GivesBackWhatWasWritten) {
  for (const int hosts : {0, 3, 30'000}) {  // the last one is several frames
    const SnapshotPtr snapshot = Example(hosts);
    const auto saved = DecodeSnapshot(EncodeSnapshot(*snapshot, 1700000000));
    ASSERT_TRUE(saved.ok()) << saved.status();
    EXPECT_EQ(saved->written, 1700000000);
    EXPECT_EQ(saved->snapshot->Version(), snapshot->Version());
    for (const TypeInfo& type : kTypes) {
      ASSERT_EQ(saved->snapshot->table(type.type).size(), snapshot->table(type.type).size());
      snapshot->table(type.type).ForEach([&](const ResourcePtr& resource) {
        const ResourcePtr other = saved->snapshot->Find(type.type, resource->name);
        ASSERT_NE(other, nullptr) << resource->name;
        ExpectEqual(*resource, *other);
      });
    }
    EXPECT_EQ(saved->snapshot->UsersOfCluster("default/kuard/80/da39a3ee5e"),
              static_cast<std::size_t>(hosts));
    EXPECT_EQ(saved->snapshot->ClustersWithAssignment("default/kuard"), 1U);
  }
}

TEST(SnapshotFile, AnEmptySnapshotToo) {
  const SnapshotPtr empty = SnapshotEditor(nullptr).Commit();
  const auto saved = DecodeSnapshot(EncodeSnapshot(*empty, 0));
  ASSERT_TRUE(saved.ok()) << saved.status();
  EXPECT_EQ(saved->snapshot->Version(), empty->Version());
}

TEST(SnapshotFile, EveryDamagedByteIsNoticed) {
  const std::string good = EncodeSnapshot(*Example(), 1700000000);
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const int bit : {0, 7}) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ (1 << bit));
      EXPECT_FALSE(DecodeSnapshot(bad).ok()) << "byte " << i;
    }
    EXPECT_FALSE(DecodeSnapshot(good.substr(0, i)).ok()) << "cut off at " << i;
  }
  EXPECT_THAT(ErrorOf(DecodeSnapshot(good + "x")), HasSubstr("behind its end"));
}

TEST(SnapshotFile, SaysWhatIsWrong) {
  const std::string good = EncodeSnapshot(*Example(), 0);
  EXPECT_THAT(ErrorOf(DecodeSnapshot("")), HasSubstr("no snapshot file"));
  EXPECT_THAT(ErrorOf(DecodeSnapshot("kind: Service\nmetadata: {name: kuard}\n")),
              HasSubstr("no snapshot file"));
  std::string newer = good;
  newer[sizeof("contour snapshot\n") - 1] = 2;
  EXPECT_THAT(ErrorOf(DecodeSnapshot(newer)),
              HasSubstr("it has format 2, this program reads format 1"));
  EXPECT_THAT(ErrorOf(DecodeSnapshot(good.substr(0, good.size() - 1))), HasSubstr("cut off"));
  std::string damaged = good;
  damaged[damaged.find("PRIVATE KEY")] = 'p';
  EXPECT_THAT(ErrorOf(DecodeSnapshot(damaged)), HasSubstr("checksum"));
}

class SnapshotFileOnDiskTest : public ::testing::Test {
 protected:
  SnapshotFileOnDiskTest() {
    fs::remove_all(directory_);
    fs::create_directories(directory_);
  }
  ~SnapshotFileOnDiskTest() override { fs::remove_all(directory_); }

  std::string Text() const {
    std::ostringstream text;
    text << std::ifstream(path_, std::ios::binary).rdbuf();
    return text.str();
  }
  mode_t Mode() const {
    struct stat info{};
    stat(path_.c_str(), &info);
    return info.st_mode & 07777;
  }
  std::size_t Files() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(directory_), fs::directory_iterator()));
  }

  const fs::path directory_ = fs::path(::testing::TempDir()) /
                              ::testing::UnitTest::GetInstance()->current_test_info()->name();
  const std::string path_ = directory_ / "snapshot";
};

// While it lives no file of this process can get longer than `bytes`, as on a disk that is full.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullDisk() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  rlimit before_{};
  sighandler_t handler_;
};

TEST_F(SnapshotFileOnDiskTest, IsForItsOwnerOnly) {
  std::ofstream(path_ + ".tmp") << "of a process that ended in the middle";
  const mode_t mask = umask(0);
  const absl::Status written = WriteSnapshotFile(path_, *Example(), 1, OldFile::kDrop);
  umask(mask);
  ASSERT_TRUE(written.ok()) << written;
  EXPECT_EQ(Mode(), 0600U);
  EXPECT_EQ(Files(), 1U) << "no temporary file stays";
  auto saved = ReadSnapshotFile(path_);
  ASSERT_TRUE(saved.ok()) << saved.status();
  EXPECT_FALSE(saved->readable_by_others);
  chmod(path_.c_str(), 0640);
  saved = ReadSnapshotFile(path_);
  ASSERT_TRUE(saved.ok()) << saved.status();
  EXPECT_TRUE(saved->readable_by_others);
  ASSERT_TRUE(WriteSnapshotFile(path_, *Example(), 1, OldFile::kDrop).ok());
  EXPECT_EQ(Mode(), 0600U) << "whatever it was";
}

TEST_F(SnapshotFileOnDiskTest, AFailureLeavesTheOldFile) {
  ASSERT_TRUE(WriteSnapshotFile(path_, *Example(), 1, OldFile::kDrop).ok());
  const std::string before = Text();
  {
    const FullDisk full(2000);
    const absl::Status status = WriteSnapshotFile(path_, *Example(1000), 2, OldFile::kDrop);
    EXPECT_THAT(std::string(Message(status)), HasSubstr(path_ + ".tmp: can't be written"));
  }
  EXPECT_EQ(Text(), before);
  EXPECT_EQ(Files(), 1U);
  EXPECT_TRUE(WriteSnapshotFile(path_, *Example(1000), 2, OldFile::kDrop).ok());
}

TEST_F(SnapshotFileOnDiskTest, SaysWhatCannotBeUsed) {
  EXPECT_TRUE(absl::IsNotFound(ReadSnapshotFile(path_).status()));
  EXPECT_THAT(ErrorOf(ReadSnapshotFile(directory_)), HasSubstr("no regular file"));
  std::ofstream(path_) << "contour snapshot\n";
  EXPECT_THAT(ErrorOf(ReadSnapshotFile(path_)), HasSubstr(path_ + ": "));
  EXPECT_THAT(std::string(Message(
                  WriteSnapshotFile(directory_ / "no" / "file", *Example(), 1, OldFile::kDrop))),
              HasSubstr("can't be made"));
}

TEST_F(SnapshotFileOnDiskTest, TheKeeperWritesTheLatestAndNotTooOften) {
  SnapshotKeeper keeper({.path = path_, .interval = 3600s});
  keeper.Start();
  keeper.Offer(Example(1));
  while (keeper.statistics().written == 0) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(ReadSnapshotFile(path_)->snapshot->Version(), Example(1)->Version());
  for (int i = 2; i <= 50; ++i) keeper.Offer(Example(i));
  keeper.Stop();
  EXPECT_EQ(keeper.statistics().written, 2U) << "at once, and at the end";
  EXPECT_EQ(ReadSnapshotFile(path_)->snapshot->Version(), Example(50)->Version());
  EXPECT_GT(keeper.statistics().last_written, 1700000000);
}

TEST_F(SnapshotFileOnDiskTest, TheKeeperDoesNotWriteWhatIsThere) {
  SnapshotKeeper keeper({.path = path_, .interval = 1ms, .on_disk = Example(1)});
  keeper.Start();
  keeper.Offer(Example(1));
  keeper.Stop();
  EXPECT_EQ(keeper.statistics().written, 0U);
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(SnapshotFileOnDiskTest, TheKeeperTriesAgain) {
  fs::remove_all(directory_);
  SnapshotKeeper keeper({.path = path_, .interval = 5ms});
  keeper.Start();
  keeper.Offer(Example(1));
  while (keeper.statistics().failures < 3) std::this_thread::sleep_for(1ms);
  fs::create_directories(directory_);
  while (keeper.statistics().written == 0) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(ReadSnapshotFile(path_)->snapshot->Version(), Example(1)->Version());
}

TEST_F(SnapshotFileOnDiskTest, TheKeeperEndsThoughItCannotWrite) {
  fs::remove_all(directory_);
  SnapshotKeeper keeper({.path = path_, .interval = 3600s});
  keeper.Start();
  keeper.Offer(Example(1));
  keeper.Stop();
  EXPECT_GE(keeper.statistics().failures, 1U);
}

// ---- Two generations

TEST_F(SnapshotFileOnDiskTest, TheLastTwoGenerationsAreKept) {
  for (int i = 1; i <= 3; ++i)
    ASSERT_TRUE(WriteSnapshotFile(path_, *Example(i), i, OldFile::kKeep).ok());
  EXPECT_EQ(ReadSnapshotFile(path_)->written, 3);
  EXPECT_EQ(ReadSnapshotFile(PreviousSnapshotFile(path_))->written, 2);
  EXPECT_EQ(Files(), 2U);
}

TEST_F(SnapshotFileOnDiskTest, ThePreviousGenerationIsForItsOwnerOnly) {
  ASSERT_TRUE(WriteSnapshotFile(path_, *Example(1), 1, OldFile::kKeep).ok());
  chmod(path_.c_str(), 0644);
  ASSERT_TRUE(WriteSnapshotFile(path_, *Example(2), 2, OldFile::kKeep).ok());
  EXPECT_FALSE(ReadSnapshotFile(PreviousSnapshotFile(path_))->readable_by_others);
}

TEST_F(SnapshotFileOnDiskTest, AFileThatCannotBeUsedDoesNotReplaceThePrevious) {
  ASSERT_TRUE(WriteSnapshotFile(path_, *Example(1), 1, OldFile::kKeep).ok());
  ASSERT_TRUE(WriteSnapshotFile(path_, *Example(2), 2, OldFile::kKeep).ok());
  std::ofstream(path_) << "damaged";
  ASSERT_TRUE(WriteSnapshotFile(path_, *Example(3), 3, OldFile::kDrop).ok());
  EXPECT_EQ(ReadSnapshotFile(path_)->written, 3);
  EXPECT_EQ(ReadSnapshotFile(PreviousSnapshotFile(path_))->written, 1);
}

// ---- A suspiciously smaller snapshot

// `endpoints` of the hosts' assignments have an endpoint.
SnapshotPtr Hosts(int hosts, int endpoints, int secrets) {
  SnapshotEditor editor(nullptr);
  editor.SetHead(ResourceType::kRoutes, "ingress_http", "head");
  for (int i = 0; i < hosts; ++i) {
    const std::string name = "host-" + std::to_string(i);
    editor.SetPart(ResourceType::kRoutes, "ingress_http", {.name = name, .bytes = "x"});
    editor.Set(ResourceType::kCluster, {.name = name, .bytes = "c"});
    editor.Set(ResourceType::kEndpoints,
               {.name = name, .bytes = "e", .without_endpoints = i >= endpoints});
    if (i < secrets) editor.Set(ResourceType::kSecret, {.name = name, .bytes = "s"});
  }
  return editor.Commit();
}

TEST(SnapshotSize, MoreThanHalfGoneIsSuspicious) {
  const auto suspicious = [](const SnapshotPtr& after, const SnapshotPtr& before) {
    return IsSuspiciouslySmaller(SizeOf(*after), SizeOf(*before));
  };
  EXPECT_EQ(SizeOf(*Hosts(5, 3, 2)), (SnapshotSize{5, 5, 3, 2}));
  const SnapshotPtr before = Hosts(10, 10, 10);
  EXPECT_FALSE(suspicious(before, before));
  EXPECT_FALSE(suspicious(Hosts(20, 20, 20), before));
  EXPECT_FALSE(suspicious(Hosts(5, 5, 5), before));
  EXPECT_TRUE(suspicious(Hosts(4, 4, 4), before));
  EXPECT_TRUE(suspicious(Hosts(10, 4, 10), before)) << "the endpoints of most are gone";
  EXPECT_TRUE(suspicious(Hosts(10, 10, 0), before)) << "the certificates";
  EXPECT_TRUE(suspicious(Hosts(0, 0, 0), Hosts(1, 1, 1)));
  EXPECT_FALSE(suspicious(Hosts(0, 0, 0), Hosts(0, 0, 0)));
}

TEST_F(SnapshotFileOnDiskTest, ASuspiciouslySmallerSnapshotDoesNotReplaceTheFile) {
  ASSERT_TRUE(WriteSnapshotFile(path_, *Hosts(10, 10, 10), 1, OldFile::kKeep).ok());
  const std::string before = Text();
  SnapshotKeeper keeper({.path = path_, .interval = 1ms, .on_disk = Hosts(10, 10, 10)});
  keeper.Start();
  keeper.Offer(Hosts(1, 1, 1));
  while (!keeper.statistics().held_back) std::this_thread::sleep_for(1ms);
  keeper.Stop();
  EXPECT_EQ(Text(), before) << "not at the end either";
  EXPECT_EQ(keeper.statistics().written, 0U);
  EXPECT_EQ(keeper.statistics().failures, 0U);
}

TEST_F(SnapshotFileOnDiskTest, WhoRemovesTheFileLetsTheSmallerOneBeWritten) {
  ASSERT_TRUE(WriteSnapshotFile(path_, *Hosts(10, 10, 10), 1, OldFile::kKeep).ok());
  SnapshotKeeper keeper({.path = path_, .interval = 1ms, .on_disk = Hosts(10, 10, 10)});
  keeper.Start();
  keeper.Offer(Hosts(1, 1, 1));
  while (!keeper.statistics().held_back) std::this_thread::sleep_for(1ms);
  fs::remove(path_);
  while (keeper.statistics().written == 0) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(ReadSnapshotFile(path_)->snapshot->Version(), Hosts(1, 1, 1)->Version());
  EXPECT_FALSE(keeper.statistics().held_back);
}

TEST_F(SnapshotFileOnDiskTest, ASmallerSnapshotIsWrittenInTheEndAndTheLargerOneStaysBeside) {
  ASSERT_TRUE(WriteSnapshotFile(path_, *Hosts(10, 10, 10), 1, OldFile::kKeep).ok());
  SnapshotKeeper keeper(
      {.path = path_, .interval = 1ms, .hold = 50ms, .on_disk = Hosts(10, 10, 10)});
  keeper.Start();
  keeper.Offer(Hosts(1, 1, 1));
  while (keeper.statistics().written == 0) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(ReadSnapshotFile(path_)->snapshot->Version(), Hosts(1, 1, 1)->Version());
  EXPECT_EQ(ReadSnapshotFile(PreviousSnapshotFile(path_))->snapshot->Version(),
            Hosts(10, 10, 10)->Version());
}

TEST_F(SnapshotFileOnDiskTest, WhatComesBackEndsTheHold) {
  ASSERT_TRUE(WriteSnapshotFile(path_, *Hosts(10, 10, 10), 1, OldFile::kKeep).ok());
  SnapshotKeeper keeper({.path = path_, .interval = 1ms, .on_disk = Hosts(10, 10, 10)});
  keeper.Start();
  keeper.Offer(Hosts(1, 1, 1));
  while (!keeper.statistics().held_back) std::this_thread::sleep_for(1ms);
  keeper.Offer(Hosts(10, 10, 10));
  while (keeper.statistics().held_back) std::this_thread::sleep_for(1ms);
  keeper.Offer(Hosts(11, 11, 11));
  while (keeper.statistics().written == 0) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(ReadSnapshotFile(path_)->snapshot->Version(), Hosts(11, 11, 11)->Version());
}

}  // namespace
}  // namespace contour::xds
