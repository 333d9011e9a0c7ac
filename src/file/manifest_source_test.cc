// SPDX-License-Identifier: Apache-2.0

#include "file/manifest_source.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "api/service.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/status.h"
#include "file/folder_watch.h"

namespace contour::file {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
namespace fs = std::filesystem;

constexpr absl::Duration kDeadline = absl::Seconds(20);

// Keeps the objects that are in force, as a core would, and every batch.
class FakeSink : public api::Sink {
 public:
  void Apply(std::vector<api::Change> changes) override {
    const MutexLock lock(mutex_);
    std::string batch;
    for (const api::Change& change : changes) {
      const std::string name = std::string(api::KindName(change.ref.kind))[0] + change.ref.name;
      if (change.object == nullptr) {
        EXPECT_EQ(objects_.erase(name), 1u) << "unknown object removed: " << name;
        batch += " -" + name;
      } else {
        const auto* service = api::As<api::Service>(change.object.get());
        objects_[name] = service == nullptr ? "" : service->spec.external_name;
        batch += " +" + name;
      }
    }
    EXPECT_FALSE(changes.empty());
    batches_.push_back(batch.substr(1));
    last_ = absl::Now();
    changed_.NotifyAll();
  }
  void Synced() override {
    const MutexLock lock(mutex_);
    EXPECT_FALSE(synced_);
    synced_ = true;
    changed_.NotifyAll();
  }

  // Waits until `done` is true of the state, with the lock held. False: it wasn't in time.
  bool Wait(const std::function<bool()>& done) {
    const MutexLock lock(mutex_);
    const auto deadline = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(kDeadline);
    while (!done()) {
      if (!changed_.WaitUntil(mutex_, deadline)) return done();
    }
    return true;
  }
  // These are for Wait.
  bool Has(const std::string& name) const { return objects_.contains(name); }
  bool IsSynced() {
    const MutexLock lock(mutex_);
    return synced_;
  }
  // Clears the state, for another source.
  void Reset() {
    const MutexLock lock(mutex_);
    synced_ = false;
    objects_.clear();
    batches_.clear();
  }
  bool AwaitSynced() {
    return Wait([this] { return synced_; });
  }
  // Returns "Sname=value …" for the objects in force.
  std::string State() {
    const MutexLock lock(mutex_);
    return StateLocked();
  }
  // Waits until these objects are in force, and returns those that are.
  std::string Await(const std::string& state) {
    Wait([&] { return synced_ && StateLocked() == state; });
    return State();
  }
  std::vector<std::string> TakeBatches() {
    const MutexLock lock(mutex_);
    return std::exchange(batches_, {});
  }
  absl::Time last() {
    const MutexLock lock(mutex_);
    return last_;
  }

 private:
  std::string StateLocked() const {
    std::string state;
    for (const auto& [name, value] : objects_) {
      state += (state.empty() ? "" : " ") + name + (value.empty() ? "" : "=" + value);
    }
    return state;
  }

  Mutex mutex_;
  Condition changed_;
  std::map<std::string, std::string> objects_;
  std::vector<std::string> batches_;
  bool synced_ = false;
  absl::Time last_;
};

std::string Service(const std::string& name, const std::string& value = "") {
  return "---\napiVersion: v1\nkind: Service\nmetadata: {name: \"" + name +
         "\"}\nspec: {externalName: \"" + value + "\"}\n";
}
constexpr char kBad[] = "apiVersion: v1\nkind: Service\nmetadata:\n  name: 7\n";

class ManifestSourceTest : public testing::Test {
 protected:
  ManifestSourceTest() {
    std::string pattern = (fs::temp_directory_path() / "manifests.XXXXXX").string();
    base_ = mkdtemp(pattern.data());
    dir_ = base_ / "dir";
    fs::create_directory(dir_);
    log::SetLevel(log::Level::kError);
    // Scanning is off, so that a change that inotify misses shows.
    options_.scan_interval = std::chrono::hours(1);
    options_.write_grace = std::chrono::hours(1);
  }
  ~ManifestSourceTest() override {
    source_.reset();
    log::SetLevel(log::Level::kInfo);
    fs::remove_all(base_);
  }

  static void Write(const fs::path& path, const std::string& text) {
    std::ofstream file(path);
    file << text;
    file.close();
    ASSERT_TRUE(file.good()) << path;
  }
  // Writes a new file beside the old one and renames it, as careful programs do.
  static void Replace(const fs::path& path, const std::string& text) {
    const fs::path temporary = path.parent_path() / (".new-" + path.filename().string());
    Write(temporary, text);
    fs::rename(temporary, path);
  }
  // Waits until there were this many.
  void AwaitScans(std::uint64_t scans) {
    const absl::Time deadline = absl::Now() + kDeadline;
    while (source_->Stats().scans < scans && absl::Now() < deadline) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    EXPECT_GE(source_->Stats().scans, scans);
  }
  void Start() {
    source_ = std::make_unique<ManifestSource>(dir_.string(), options_);
    const absl::Status status = source_->Start(sink_);
    ASSERT_TRUE(status.ok()) << Message(status);
    ASSERT_TRUE(sink_.AwaitSynced());
  }
  // Returns "path: message" with paths relative to the base.
  std::vector<std::string> Problems() {
    std::vector<std::string> problems;
    for (const ManifestProblem& problem : source_->Problems()) {
      std::string text = problem.path + ": " + problem.message;
      for (std::size_t at; (at = text.find(base_.string() + "/")) != std::string::npos;) {
        text.erase(at, base_.string().size() + 1);
      }
      problems.push_back(text);
    }
    return problems;
  }
  std::vector<std::string> AwaitProblems(std::size_t count) {
    const absl::Time deadline = absl::Now() + kDeadline;
    while (source_->Problems().size() != count && absl::Now() < deadline) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    return Problems();
  }
  // Waits until there is one problem, which contains `text`: others may come and go before it.
  std::vector<std::string> AwaitOneProblem(const std::string& text) {
    const absl::Time deadline = absl::Now() + kDeadline;
    const auto is_there = [&] {
      const std::vector<ManifestProblem> problems = source_->Problems();
      return problems.size() == 1 && problems[0].message.find(text) != std::string::npos;
    };
    while (!is_there() && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(1));
    return Problems();
  }
  // Waits until the source has read a file that is written now, so that it has seen earlier
  // changes.
  void Settle() {
    Write(dir_ / "zz-settle.yaml", Service("settle", std::to_string(++settle_)));
    const std::string wanted = "Ssettle=" + std::to_string(settle_);
    const absl::Time deadline = absl::Now() + kDeadline;
    while (sink_.State().find(wanted) == std::string::npos && absl::Now() < deadline) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    ASSERT_THAT(sink_.State(), HasSubstr(wanted));
  }

  fs::path base_;
  fs::path dir_;
  ManifestSourceOptions options_;
  FakeSink sink_;
  std::unique_ptr<ManifestSource> source_;
  int settle_ = 0;
};

TEST_F(ManifestSourceTest, ReadsTheTreeOnceThenIsSynced) {
  fs::create_directories(dir_ / "sub" / "deeper");
  Write(dir_ / "a.yaml", Service("a1") + Service("a2"));
  Write(dir_ / "sub" / "b.yml", Service("b"));
  Write(dir_ / "sub" / "deeper" / "c.json",
        R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"c"}})");
  Write(dir_ / "README.md", "not: [yaml");
  Write(dir_ / ".hidden.yaml", Service("hidden"));
  Write(dir_ / "a.yaml~", Service("backup"));
  Write(dir_ / "#a.yaml#", Service("autosave"));
  fs::create_directory(dir_ / ".git");
  Write(dir_ / ".git" / "d.yaml", Service("d"));
  ASSERT_EQ(mkfifo((dir_ / "pipe.yaml").c_str(), 0600), 0);
  fs::create_directory(dir_ / "folder.yaml");
  Start();
  EXPECT_EQ(sink_.Await("Sa1 Sa2 Sb Sc"), "Sa1 Sa2 Sb Sc");
  EXPECT_THAT(sink_.TakeBatches(), ElementsAre("+Sa1 +Sa2 +Sb +Sc")) << "one batch";
  EXPECT_THAT(Problems(), IsEmpty());
  EXPECT_EQ(source_->Stats().files, 3u);
  EXPECT_EQ(source_->Stats().objects, 4u);
}

TEST_F(ManifestSourceTest, AnEmptyFolderIsSynced) {
  Start();
  EXPECT_THAT(sink_.TakeBatches(), IsEmpty());
  Write(dir_ / "a.yaml", Service("a"));
  EXPECT_EQ(sink_.Await("Sa"), "Sa");
}

TEST_F(ManifestSourceTest, StartNeedsAFolderAndHappensOnce) {
  ManifestSource missing((base_ / "none").string());
  EXPECT_EQ(missing.Start(sink_).code(), absl::StatusCode::kNotFound);
  Write(base_ / "file.yaml", "");
  ManifestSource file((base_ / "file.yaml").string());
  EXPECT_EQ(file.Start(sink_).code(), absl::StatusCode::kNotFound);
  Start();
  EXPECT_EQ(source_->Start(sink_).code(), absl::StatusCode::kFailedPrecondition);
  source_->Stop();
  source_->Stop();
}

TEST_F(ManifestSourceTest, FollowsChanges) {
  Write(dir_ / "a.yaml", Service("a", "1"));
  Start();
  EXPECT_EQ(sink_.Await("Sa=1"), "Sa=1");
  sink_.TakeBatches();
  Write(dir_ / "a.yaml", Service("a", "2"));
  EXPECT_EQ(sink_.Await("Sa=2"), "Sa=2");
  Replace(dir_ / "a.yaml", Service("a", "3") + Service("b", "1"));
  EXPECT_EQ(sink_.Await("Sa=3 Sb=1"), "Sa=3 Sb=1");
  fs::rename(dir_ / "a.yaml", dir_ / "c.yaml");
  Settle();
  fs::remove(dir_ / "zz-settle.yaml");
  EXPECT_EQ(sink_.Await("Sa=3 Sb=1"), "Sa=3 Sb=1");
  EXPECT_THAT(sink_.TakeBatches(), ElementsAre("+Sa", "+Sa +Sb", "+Ssettle", "-Ssettle"))
      << "only what changed; a file that is renamed changes nothing";
  fs::create_hard_link(dir_ / "c.yaml", dir_ / "d.yaml");
  EXPECT_THAT(AwaitProblems(2), SizeIs(2)) << "both objects of d.yaml are in c.yaml too";
  fs::remove(dir_ / "c.yaml");
  Write(dir_ / "e.yaml", Service("e"));
  EXPECT_EQ(sink_.Await("Sa=3 Sb=1 Se"), "Sa=3 Sb=1 Se");
  fs::remove(dir_ / "d.yaml");
  EXPECT_EQ(sink_.Await("Se"), "Se");
}

TEST_F(ManifestSourceTest, SameContentIsNoChange) {
  Write(dir_ / "a.yaml", Service("a", "1"));
  Start();
  sink_.Await("Sa=1");
  sink_.TakeBatches();
  Write(dir_ / "a.yaml", "# a comment\n" + Service("a", "1"));
  Replace(dir_ / "a.yaml", Service("a", "1"));
  Settle();
  EXPECT_THAT(sink_.TakeBatches(), ElementsAre("+Ssettle"));
}

TEST_F(ManifestSourceTest, ABadFileKeepsItsLastGoodContent) {
  Write(dir_ / "a.yaml", Service("a", "1"));
  Write(dir_ / "bad.yaml", Service("b", "1") + "---\n" + kBad);
  Start();
  EXPECT_EQ(sink_.Await("Sa=1"), "Sa=1") << "at the first read there is no last good content";
  EXPECT_THAT(Problems(),
              ElementsAre("dir/bad.yaml: line 10, column 9: Service: metadata.name: expected a "
                          "string, got an integer"));
  Write(dir_ / "a.yaml", kBad);
  EXPECT_THAT(AwaitProblems(2), SizeIs(2));
  Write(dir_ / "c.yaml", Service("c", "1"));
  EXPECT_EQ(sink_.Await("Sa=1 Sc=1"), "Sa=1 Sc=1") << "the others go on";

  Write(dir_ / "bad.yaml", Service("b", "2"));
  EXPECT_EQ(sink_.Await("Sa=1 Sb=2 Sc=1"), "Sa=1 Sb=2 Sc=1");
  EXPECT_THAT(Problems(), ElementsAre(HasSubstr("dir/a.yaml: line 4, column 9: ")));
  fs::remove(dir_ / "a.yaml");
  EXPECT_EQ(sink_.Await("Sb=2 Sc=1"), "Sb=2 Sc=1");
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(ManifestSourceTest, ReportsEachProblemOnce) {
  Mutex mutex;
  std::vector<std::string> told;
  options_.on_problem = [&](const ManifestProblem& problem) {
    const MutexLock lock(mutex);
    told.push_back(fs::path(problem.path).filename().string() + " " +
                   std::to_string(static_cast<int>(problem.kind)));
  };
  Start();
  Write(dir_ / "a.yaml", kBad);
  AwaitProblems(1);
  Write(dir_ / "a.yaml", kBad);
  Write(dir_ / "b.yaml", Service("x"));
  Write(dir_ / "c.yaml", Service("x"));
  AwaitProblems(2);
  Settle();
  source_.reset();
  EXPECT_THAT(told, ElementsAre("a.yaml 0", "c.yaml 1"));
}

TEST_F(ManifestSourceTest, TheFirstPathWinsAndTheOtherIsNamed) {
  Write(dir_ / "b.yaml", Service("x", "b"));
  Start();
  EXPECT_EQ(sink_.Await("Sx=b"), "Sx=b");
  fs::create_directory(dir_ / "a");
  Write(dir_ / "a" / "z.yaml", Service("x", "a"));
  EXPECT_EQ(sink_.Await("Sx=a"), "Sx=a");
  EXPECT_THAT(
      Problems(),
      ElementsAre("dir/b.yaml: Service default/x is in dir/a/z.yaml too, which comes first and "
                  "is in force"));
  fs::remove_all(dir_ / "a");
  EXPECT_EQ(sink_.Await("Sx=b"), "Sx=b");
  EXPECT_THAT(AwaitProblems(0), IsEmpty());
}

TEST_F(ManifestSourceTest, FoldersComeAndGo) {
  Start();
  fs::create_directories(dir_ / "one" / "two");
  Write(dir_ / "one" / "two" / "a.yaml", Service("a"));
  EXPECT_EQ(sink_.Await("Sa"), "Sa");
  Write(dir_ / "one" / "b.yaml", Service("b"));
  EXPECT_EQ(sink_.Await("Sa Sb"), "Sa Sb");

  fs::create_directory(base_ / "outside");
  Write(base_ / "outside" / "c.yaml", Service("c"));
  fs::rename(base_ / "outside", dir_ / "moved");
  EXPECT_EQ(sink_.Await("Sa Sb Sc"), "Sa Sb Sc");
  Write(dir_ / "moved" / "d.yaml", Service("d"));
  EXPECT_EQ(sink_.Await("Sa Sb Sc Sd"), "Sa Sb Sc Sd");

  fs::rename(dir_ / "one", dir_ / "three");
  Write(dir_ / "three" / "two" / "a.yaml", Service("a", "2"));
  EXPECT_EQ(sink_.Await("Sa=2 Sb Sc Sd"), "Sa=2 Sb Sc Sd");
  fs::rename(dir_ / "moved", base_ / "gone");
  EXPECT_EQ(sink_.Await("Sa=2 Sb"), "Sa=2 Sb");
  Write(base_ / "gone" / "e.yaml", Service("e"));
  fs::remove_all(dir_ / "three");
  EXPECT_EQ(sink_.Await(""), "");
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(ManifestSourceTest, AFileThatIsBeingWrittenIsNotRead) {
  Write(dir_ / "a.yaml", Service("a", "1"));
  Start();
  sink_.Await("Sa=1");
  sink_.TakeBatches();
  std::ofstream file(dir_ / "a.yaml");
  file << "apiVersion: v1\nkind: Serv" << std::flush;
  Settle();
  fs::create_directory(dir_ / "sub");  // makes the source look at everything
  Write(dir_ / "sub" / "b.yaml", Service("b"));
  EXPECT_EQ(sink_.Await("Sa=1 Sb Ssettle=1"), "Sa=1 Sb Ssettle=1");
  EXPECT_THAT(Problems(), IsEmpty());
  file << "ice\nmetadata: {name: a}\nspec: {externalName: \"2\"}\n";
  file.close();
  EXPECT_EQ(sink_.Await("Sa=2 Sb Ssettle=1"), "Sa=2 Sb Ssettle=1");
}

TEST_F(ManifestSourceTest, AFreshFileInANewFolderMayBeHalfWritten) {
  options_.fresh_file_grace = std::chrono::hours(1);
  int told = 0;
  options_.on_problem = [&](const ManifestProblem&) { ++told; };
  Start();
  fs::create_directory(base_ / "sub");
  Write(base_ / "sub" / "a.yaml", kBad);
  fs::rename(base_ / "sub", dir_ / "sub");
  Settle();
  Write(dir_ / "sub" / "a.yaml", Service("a"));
  EXPECT_EQ(sink_.Await("Sa Ssettle=1"), "Sa Ssettle=1");
  source_->Stop();
  EXPECT_EQ(told, 0);
}

TEST_F(ManifestSourceTest, ABadFileInANewFolderIsNamedInTheEnd) {
  Start();
  fs::create_directory(base_ / "sub");
  Write(base_ / "sub" / "a.yaml", kBad);
  fs::rename(base_ / "sub", dir_ / "sub");
  EXPECT_THAT(AwaitProblems(1), ElementsAre(HasSubstr("dir/sub/a.yaml: line 4, column 9: ")));
}

TEST_F(ManifestSourceTest, ReadsAFileThatItsWriterNeverCloses) {
  options_.write_grace = std::chrono::milliseconds(50);
  Start();
  std::ofstream file(dir_ / "a.yaml");
  file << Service("a", "1") << std::flush;
  EXPECT_EQ(sink_.Await("Sa=1"), "Sa=1");
  file << Service("b", "1") << std::flush;
  EXPECT_EQ(sink_.Await("Sa=1 Sb=1"), "Sa=1 Sb=1");
}

TEST_F(ManifestSourceTest, ReplacingInTwoStepsIsNoOutage) {
  options_.removal_grace = std::chrono::hours(1);
  Write(dir_ / "a.yaml", Service("a", "1"));
  Start();
  sink_.Await("Sa=1");
  sink_.TakeBatches();
  // vim: the old file becomes the backup, a new one is written, the backup goes.
  fs::rename(dir_ / "a.yaml", dir_ / "a.yaml~");
  Settle();
  Write(dir_ / "a.yaml", Service("a", "2"));
  fs::remove(dir_ / "a.yaml~");
  EXPECT_EQ(sink_.Await("Sa=2 Ssettle=1"), "Sa=2 Ssettle=1");
  // An object that moves to another file, which is written after the old one has gone.
  fs::remove(dir_ / "a.yaml");
  Settle();
  Write(dir_ / "b.yaml", Service("a", "3"));
  EXPECT_EQ(sink_.Await("Sa=3 Ssettle=2"), "Sa=3 Ssettle=2");
  EXPECT_THAT(Problems(), IsEmpty()) << "no talk of two files";
  EXPECT_THAT(sink_.TakeBatches(), ElementsAre("+Ssettle", "+Sa", "+Ssettle", "+Sa"));
}

// A ConfigMap as the kubelet mounts it: files are links to ..data/x, and ..data is a link that is
// replaced by renaming.
TEST_F(ManifestSourceTest, MountedConfigMap) {
  const auto payload = [&](const std::string& stamp, const std::string& value) {
    fs::create_directory(dir_ / stamp);
    Write(dir_ / stamp / "a.yaml", Service("a", value));
    Write(dir_ / stamp / "b.yaml", Service("b", value));
    fs::create_directory(dir_ / stamp / "sub");
    Write(dir_ / stamp / "sub" / "c.yaml", Service("c", value));
    fs::create_symlink(stamp, dir_ / "..data_tmp");
    fs::rename(dir_ / "..data_tmp", dir_ / "..data");
  };
  payload("..2026_01_01", "1");
  fs::create_symlink("..data/a.yaml", dir_ / "a.yaml");
  fs::create_symlink("..data/b.yaml", dir_ / "b.yaml");
  fs::create_symlink("..data/sub", dir_ / "sub");
  Start();
  EXPECT_EQ(sink_.Await("Sa=1 Sb=1 Sc=1"), "Sa=1 Sb=1 Sc=1");
  EXPECT_THAT(Problems(), IsEmpty()) << "nothing is read twice";
  sink_.TakeBatches();
  payload("..2026_01_02", "2");
  fs::remove_all(dir_ / "..2026_01_01");
  EXPECT_EQ(sink_.Await("Sa=2 Sb=2 Sc=2"), "Sa=2 Sb=2 Sc=2");
  EXPECT_THAT(sink_.TakeBatches(), ElementsAre("+Sa +Sb +Sc")) << "one batch";
  payload("..2026_01_03", "3");
  EXPECT_EQ(sink_.Await("Sa=3 Sb=3 Sc=3"), "Sa=3 Sb=3 Sc=3");
  Write(dir_ / "..2026_01_03" / "sub" / "c.yaml", Service("c", "4"));
  EXPECT_EQ(sink_.Await("Sa=3 Sb=3 Sc=4"), "Sa=3 Sb=3 Sc=4");
}

TEST_F(ManifestSourceTest, LinksToOutside) {
  fs::create_directory(base_ / "outside");
  Write(base_ / "outside" / "x.yaml", Service("a", "1"));
  fs::create_symlink("../hop.yaml", dir_ / "a.yaml");
  fs::create_symlink(base_ / "outside" / "x.yaml", base_ / "hop.yaml");
  Start();
  EXPECT_EQ(sink_.Await("Sa=1"), "Sa=1");
  Write(base_ / "outside" / "x.yaml", Service("a", "2"));
  EXPECT_EQ(sink_.Await("Sa=2"), "Sa=2") << "written in place behind two links";
  Replace(base_ / "outside" / "x.yaml", Service("a", "3"));
  EXPECT_EQ(sink_.Await("Sa=3"), "Sa=3");
  // A link in the middle is replaced.
  Write(base_ / "other.yaml", Service("a", "4"));
  fs::create_symlink("other.yaml", base_ / "tmp");
  fs::rename(base_ / "tmp", base_ / "hop.yaml");
  EXPECT_EQ(sink_.Await("Sa=4"), "Sa=4");
  // A link to nothing, which appears later.
  fs::create_symlink(base_ / "late" / "y.yaml", dir_ / "late.yaml");
  Settle();
  fs::create_directory(base_ / "late");
  Write(base_ / "late" / "y.yaml", Service("b"));
  EXPECT_EQ(sink_.Await("Sa=4 Sb Ssettle=1"), "Sa=4 Sb Ssettle=1");
  fs::remove(dir_ / "a.yaml");
  EXPECT_EQ(sink_.Await("Sb Ssettle=1"), "Sb Ssettle=1");
}

TEST_F(ManifestSourceTest, LinkedFoldersAndLoops) {
  fs::create_directory(base_ / "outside");
  Write(base_ / "outside" / "a.yaml", Service("a"));
  fs::create_directory_symlink(base_ / "outside", dir_ / "linked");
  fs::create_directory_symlink(dir_, dir_ / "self");
  fs::create_directory_symlink("..", dir_ / "up");
  fs::create_symlink("loop.yaml", dir_ / "loop.yaml");
  fs::create_symlink("missing.yaml", dir_ / "dangling.yaml");
  Start();
  EXPECT_EQ(sink_.Await("Sa"), "Sa");
  fs::remove(dir_ / "up");  // it gives a.yaml a second path
  EXPECT_THAT(AwaitProblems(0), IsEmpty());
  Write(base_ / "outside" / "b.yaml", Service("b"));
  EXPECT_EQ(sink_.Await("Sa Sb"), "Sa Sb");
  fs::remove(dir_ / "linked");
  EXPECT_EQ(sink_.Await(""), "");
}

TEST_F(ManifestSourceTest, TheFolderIsDeletedAndMadeAgain) {
  options_.removal_grace = std::chrono::seconds(1);
  Write(dir_ / "a.yaml", Service("a", "1"));
  Write(dir_ / "b.yaml", Service("b", "1"));
  Start();
  sink_.Await("Sa=1 Sb=1");
  sink_.TakeBatches();
  fs::remove_all(dir_);
  EXPECT_THAT(AwaitProblems(1), ElementsAre("dir: No such file or directory"));
  absl::SleepFor(absl::Milliseconds(1300));  // longer than the grace of removal
  EXPECT_EQ(sink_.State(), "Sa=1 Sb=1") << "while it is missing nothing is removed";
  fs::create_directory(dir_);
  Write(dir_ / "a.yaml", Service("a", "2"));
  EXPECT_EQ(sink_.Await("Sa=2"), "Sa=2") << "b is gone for good";
  EXPECT_THAT(AwaitProblems(0), IsEmpty());
  EXPECT_THAT(sink_.TakeBatches(), ElementsAre("+Sa", "-Sb"));
  Write(dir_ / "a.yaml", Service("a", "3"));
  EXPECT_EQ(sink_.Await("Sa=3"), "Sa=3") << "the new folder is watched";

  // The folder goes with its parents, and by renaming.
  const fs::path elsewhere = base_.string() + ".elsewhere";
  fs::rename(base_, elsewhere);
  EXPECT_THAT(AwaitProblems(1), SizeIs(1));
  fs::create_directories(dir_);
  Write(dir_ / "c.yaml", Service("c", "1"));
  EXPECT_EQ(sink_.Await("Sc=1"), "Sc=1");
  fs::create_directory(base_ / "next");
  Write(base_ / "next" / "d.yaml", Service("d", "1"));
  fs::rename(dir_, base_ / "previous");
  fs::rename(base_ / "next", dir_);
  EXPECT_EQ(sink_.Await("Sd=1"), "Sd=1");
  fs::remove_all(elsewhere);
}

TEST_F(ManifestSourceTest, TheFolderIsALink) {
  fs::create_directory(base_ / "v1");
  Write(base_ / "v1" / "a.yaml", Service("a", "1"));
  fs::create_directory(base_ / "v2");
  Write(base_ / "v2" / "a.yaml", Service("a", "2"));
  fs::create_directory_symlink("v1", base_ / "current");
  dir_ = base_ / "current" / "";
  Start();
  EXPECT_EQ(sink_.Await("Sa=1"), "Sa=1");
  sink_.TakeBatches();
  fs::create_directory_symlink("v2", base_ / "tmp");
  fs::rename(base_ / "tmp", base_ / "current");
  EXPECT_EQ(sink_.Await("Sa=2"), "Sa=2");
  EXPECT_THAT(sink_.TakeBatches(), ElementsAre("+Sa"));
}

TEST_F(ManifestSourceTest, FilesThatCannotBeRead) {
  options_.max_file_bytes = 200;
  Write(dir_ / "a.yaml", Service("a", "1"));
  Write(dir_ / "b.yaml", Service("b", "1"));
  Start();
  sink_.Await("Sa=1 Sb=1");
  Write(dir_ / "a.yaml", Service("a", "2") + std::string(200, '\n'));
  // A regular file that gives an error when read, also to root.
  fs::create_symlink("/proc/self/mem", dir_ / "tmp");
  fs::rename(dir_ / "tmp", dir_ / "b.yaml");
  EXPECT_THAT(AwaitProblems(2),
              ElementsAre("dir/a.yaml: larger than 200 bytes", "dir/b.yaml: Input/output error"));
  EXPECT_EQ(sink_.State(), "Sa=1 Sb=1");
  Write(dir_ / "a.yaml", Service("a", "3"));
  EXPECT_EQ(sink_.Await("Sa=3 Sb=1"), "Sa=3 Sb=1");
}

TEST_F(ManifestSourceTest, RightsAreTakenAndGiven) {
  if (geteuid() == 0) GTEST_SKIP() << "root may read everything";
  fs::create_directory(dir_ / "sub");
  Write(dir_ / "a.yaml", Service("a", "1"));
  Write(dir_ / "sub" / "b.yaml", Service("b", "1"));
  Start();
  sink_.Await("Sa=1 Sb=1");
  fs::permissions(dir_ / "a.yaml", fs::perms::none);
  fs::permissions(dir_ / "sub", fs::perms::none);
  EXPECT_THAT(AwaitProblems(2),
              ElementsAre("dir/a.yaml: Permission denied", "dir/sub: Permission denied"));
  absl::SleepFor(absl::Milliseconds(300));
  EXPECT_EQ(sink_.State(), "Sa=1 Sb=1");
  fs::permissions(dir_ / "a.yaml", fs::perms::owner_all);
  fs::permissions(dir_ / "sub", fs::perms::owner_all);
  EXPECT_THAT(AwaitProblems(0), IsEmpty());
}

// ---- Files that can't be read are unknown, not gone ----

// A regular file that gives an error when read, also to root.
constexpr char kUnreadable[] = "/proc/self/mem";

TEST_F(ManifestSourceTest, AFileThatCannotBeReadAtTheStartIsWaitedFor) {
  Write(dir_ / "a.yaml", Service("a"));
  fs::create_symlink(kUnreadable, dir_ / "b.yaml");
  options_.unwatched_scan_interval = std::chrono::milliseconds(20);
  source_ = std::make_unique<ManifestSource>(dir_.string(), options_);
  ASSERT_TRUE(source_->Start(sink_).ok());
  EXPECT_THAT(AwaitProblems(1), ElementsAre("dir/b.yaml: Input/output error"));
  absl::SleepFor(absl::Milliseconds(100));
  EXPECT_THAT(source_->NeverRead(), HasSubstr("b.yaml: Input/output error"));
  EXPECT_FALSE(sink_.IsSynced());
  Write(base_ / "b", Service("b"));
  fs::create_symlink(base_ / "b", dir_ / "tmp");
  fs::rename(dir_ / "tmp", dir_ / "b.yaml");
  EXPECT_EQ(sink_.Await("Sa Sb"), "Sa Sb");
  EXPECT_EQ(source_->NeverRead(), "");
}

TEST_F(ManifestSourceTest, AFileThatGoesInsteadOfBeingReadIsNotWaitedFor) {
  Write(dir_ / "a.yaml", Service("a"));
  fs::create_symlink(kUnreadable, dir_ / "b.yaml");
  options_.unwatched_scan_interval = std::chrono::milliseconds(20);
  source_ = std::make_unique<ManifestSource>(dir_.string(), options_);
  ASSERT_TRUE(source_->Start(sink_).ok());
  AwaitProblems(1);
  fs::remove(dir_ / "b.yaml");
  EXPECT_EQ(sink_.Await("Sa"), "Sa");
}

// The content is known to be wrong, and affects only this file.
TEST_F(ManifestSourceTest, ABadFileAtTheStartIsNotWaitedFor) {
  Write(dir_ / "a.yaml", Service("a"));
  Write(dir_ / "b.yaml", kBad);
  Start();
  EXPECT_EQ(sink_.Await("Sa"), "Sa");
}

TEST_F(ManifestSourceTest, AFolderThatCannotBeReadAtTheStartIsWaitedFor) {
  if (geteuid() == 0) GTEST_SKIP() << "root may read everything";
  fs::create_directory(dir_ / "sub");
  Write(dir_ / "sub" / "b.yaml", Service("b"));
  fs::permissions(dir_ / "sub", fs::perms::none);
  source_ = std::make_unique<ManifestSource>(dir_.string(), options_);
  ASSERT_TRUE(source_->Start(sink_).ok());
  EXPECT_THAT(AwaitProblems(1), ElementsAre("dir/sub: Permission denied"));
  EXPECT_FALSE(sink_.IsSynced());
  EXPECT_THAT(source_->NeverRead(), HasSubstr("sub: Permission denied"));
  fs::permissions(dir_ / "sub", fs::perms::owner_all);
  EXPECT_EQ(sink_.Await("Sb"), "Sb");
}

TEST_F(ManifestSourceTest, AMountedConfigMapWithoutItsDataKeepsItsLastContent) {
  fs::create_directory(dir_ / "..2026");
  Write(dir_ / "..2026" / "a.yaml", Service("a", "1"));
  fs::create_directory(dir_ / "..2026" / "sub");
  Write(dir_ / "..2026" / "sub" / "b.yaml", Service("b", "1"));
  fs::create_symlink("..2026", dir_ / "..data");
  fs::create_symlink("..data/a.yaml", dir_ / "a.yaml");
  fs::create_symlink("..data/sub", dir_ / "sub");
  Start();
  EXPECT_EQ(sink_.Await("Sa=1 Sb=1"), "Sa=1 Sb=1");
  fs::remove(dir_ / "..data");
  EXPECT_THAT(AwaitProblems(2), ElementsAre("dir/a.yaml: a link on its way leads nowhere",
                                            "dir/sub/b.yaml: a link on its way leads nowhere"));
  absl::SleepFor(absl::Milliseconds(300));  // longer than the grace of removal
  EXPECT_EQ(sink_.State(), "Sa=1 Sb=1");
  Write(dir_ / "..2026" / "a.yaml", Service("a", "2"));
  fs::create_symlink("..2026", dir_ / "..data");
  EXPECT_EQ(sink_.Await("Sa=2 Sb=1"), "Sa=2 Sb=1");
  EXPECT_THAT(AwaitProblems(0), IsEmpty());
  fs::remove(dir_ / "a.yaml");
  EXPECT_EQ(sink_.Await("Sb=1"), "Sb=1") << "the link itself is gone";
}

TEST_F(ManifestSourceTest, AMountedConfigMapWithoutItsDataAtTheStartIsWaitedFor) {
  fs::create_directory(dir_ / "..2026");
  Write(dir_ / "..2026" / "a.yaml", Service("a"));
  fs::create_symlink("..data/a.yaml", dir_ / "a.yaml");
  options_.unwatched_scan_interval = std::chrono::milliseconds(20);
  source_ = std::make_unique<ManifestSource>(dir_.string(), options_);
  ASSERT_TRUE(source_->Start(sink_).ok());
  EXPECT_THAT(AwaitProblems(1), ElementsAre("dir/a.yaml: a link on its way leads nowhere"));
  EXPECT_FALSE(sink_.IsSynced());
  fs::create_symlink("..2026", dir_ / "..data");
  EXPECT_EQ(sink_.Await("Sa"), "Sa");
}

// This is as if its mount vanishes: below the mount point there is then another, empty folder.
TEST_F(ManifestSourceTest, AFolderThatIsReplacedByAnEmptyOneKeepsItsLastContent) {
  const std::string replaced = "it was replaced by an empty folder; is a mount missing?";
  // A busy machine between the two calls below must not make this a removal.
  options_.removal_grace = std::chrono::seconds(1);
  for (const bool sub : {false, true}) {
    SCOPED_TRACE(sub);
    const fs::path mount = sub ? dir_ / "mount" : dir_;
    fs::create_directories(mount / "deep");
    Write(mount / "a.yaml", Service("a"));
    Write(mount / "deep" / "b.yaml", Service("b"));
    if (sub) Write(dir_ / "z.yaml", Service("z"));
    Start();
    const std::string all = sub ? "Sa Sb Sz" : "Sa Sb";
    EXPECT_EQ(sink_.Await(all), all);
    fs::rename(mount, base_ / "kept");
    fs::create_directory(mount);
    EXPECT_THAT(AwaitOneProblem(replaced), ElementsAre(HasSubstr(replaced)));
    absl::SleepFor(absl::Milliseconds(1200));  // longer than the grace of removal
    EXPECT_EQ(sink_.State(), all);
    // The mount comes back, or other content.
    Write(mount / "c.yaml", Service("c"));
    const std::string then = sub ? "Sc Sz" : "Sc";
    EXPECT_EQ(sink_.Await(then), then);
    EXPECT_THAT(AwaitProblems(0), IsEmpty());
    source_.reset();
    sink_.Reset();
    fs::remove_all(base_);
    fs::create_directories(dir_);
  }
}

TEST_F(ManifestSourceTest, AFolderThatIsEmptiedIsEmpty) {
  Write(dir_ / "a.yaml", Service("a"));
  Start();
  sink_.Await("Sa");
  fs::remove(dir_ / "a.yaml");
  EXPECT_EQ(sink_.Await(""), "");
}

TEST_F(ManifestSourceTest, OnlyUsableSecretsArePassedOn) {
  const auto secret = [](const std::string& name, const std::string& type, const std::string& key) {
    return "---\napiVersion: v1\nkind: Secret\nmetadata: {name: \"" + name + "\"}\ntype: " + type +
           "\nstringData: {" + key + ": x}\n";
  };
  Write(dir_ / "a.yaml", secret("tls", "kubernetes.io/tls", "tls.crt") +
                             secret("ca", "Opaque", "ca.crt") +
                             secret("none", "Opaque", "password"));
  Start();
  EXPECT_EQ(sink_.Await("Sca Stls"), "Sca Stls");
}

TEST_F(ManifestSourceTest, LostEventsAreMadeUpByScanning) {
  options_.scan_interval = std::chrono::milliseconds(50);
  Write(dir_ / "a.yaml", Service("a", "1"));
  Start();
  sink_.Await("Sa=1");
  AwaitScans(source_->Stats().scans + 4);
  EXPECT_LE(source_->Stats().reads, 3u) << "what is unchanged isn't read again";
}

TEST_F(ManifestSourceTest, EqualContentIsReadButNotTakenApartAgain) {
  options_.scan_interval = std::chrono::milliseconds(20);
  Write(dir_ / "a.yaml", Service("a", "1"));
  Write(dir_ / "bad.yaml", "kind: [");
  Start();
  sink_.Await("Sa=1");
  ASSERT_THAT(source_->Problems(), SizeIs(1));
  const std::uint64_t reads = source_->Stats().reads;
  for (int i = 0; i < 3; ++i) {
    Write(dir_ / "a.yaml", Service("a", "1"));
    Write(dir_ / "bad.yaml", "kind: [");
    const std::string next = "b" + std::to_string(i);
    Write(dir_ / (next + ".yaml"), Service(next, "1"));
    sink_.Wait([&] { return sink_.Has("S" + next); });
  }
  EXPECT_LE(source_->Stats().reads, reads + 3);
  EXPECT_THAT(source_->Problems(), SizeIs(1));
  Write(dir_ / "bad.yaml", Service("a2", "1"));
  EXPECT_EQ(sink_.Await("Sa=1 Sa2=1 Sb0=1 Sb1=1 Sb2=1"), "Sa=1 Sa2=1 Sb0=1 Sb1=1 Sb2=1");
  EXPECT_THAT(source_->Problems(), IsEmpty());
}

TEST_F(ManifestSourceTest, AScanOfManyFilesEndsHoweverOftenItIsDue) {
  options_.scan_interval = std::chrono::milliseconds(1);
  constexpr int kFiles = 2000;
  for (int i = 0; i < kFiles; ++i) {
    Write(dir_ / (std::to_string(i) + ".yaml"), Service("a" + std::to_string(i), "1"));
  }
  Start();
  ASSERT_TRUE(sink_.AwaitSynced());
  const std::uint64_t scans = source_->Stats().scans;
  for (int i = 0; i < 5; ++i) {
    const std::string name = "b" + std::to_string(i);
    Write(dir_ / (name + ".yaml"), Service(name, "1"));
    ASSERT_TRUE(sink_.Wait([&] { return sink_.Has("S" + name); })) << name;
  }
  AwaitScans(scans + 3);
}

TEST_F(ManifestSourceTest, ManyFilesAtOnce) {
  constexpr int kFolders = 20;
  constexpr int kFiles = 25;
  Start();
  std::map<std::string, std::string> expected;
  for (int i = 0; i < kFolders; ++i) {
    const fs::path folder = dir_ / ("d" + std::to_string(i));
    fs::create_directory(folder);
    for (int j = 0; j < kFiles; ++j) {
      const std::string name = std::to_string(i) + "-" + std::to_string(j);
      Write(folder / (name + ".yaml"), Service(name, "1"));
      if (j % 3 == 0) Replace(folder / (name + ".yaml"), Service(name, "2"));
      if (j % 5 == 0) {
        fs::remove(folder / (name + ".yaml"));
      } else {
        expected["S" + name] = j % 3 == 0 ? "2" : "1";
      }
    }
  }
  std::string state;
  for (const auto& [name, value] : expected)
    state += (state.empty() ? "" : " ") + name + "=" + value;
  EXPECT_EQ(sink_.Await(state), state);
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(ManifestSourceTest, AppliesSoonAfterTheFileIsClosed) {
  Write(dir_ / "a.yaml", Service("a", "0"));
  Start();
  sink_.Await("Sa=0");
  std::vector<absl::Duration> delays;
  for (int i = 1; i <= 50; ++i) {
    Write(dir_ / "a.yaml", Service("a", std::to_string(i)));
    const absl::Time closed = absl::Now();
    const std::string state = "Sa=" + std::to_string(i);
    ASSERT_EQ(sink_.Await(state), state);
    delays.push_back(sink_.last() - closed);
  }
  std::sort(delays.begin(), delays.end());
  RecordProperty("median_us", static_cast<int>(absl::ToInt64Microseconds(delays[25])));
  RecordProperty("worst_us", static_cast<int>(absl::ToInt64Microseconds(delays.back())));
  EXPECT_LT(delays[25], absl::Milliseconds(10));
}

TEST_F(ManifestSourceTest, StopsWhileMuchIsGoingOn) {
  for (int i = 0; i < 200; ++i)
    Write(dir_ / (std::to_string(i) + ".yaml"), Service(std::to_string(i)));
  for (int round = 0; round < 20; ++round) {
    FakeSink sink;
    ManifestSource source(dir_.string(), options_);
    ASSERT_TRUE(source.Start(sink).ok());
    if (round % 2 == 0) Write(dir_ / "new.yaml", Service("new", std::to_string(round)));
    source.Stop();
    sink.TakeBatches();
    Write(dir_ / "new.yaml", Service("new", "after"));
    EXPECT_THAT(sink.TakeBatches(), IsEmpty());
  }
}

TEST(FolderWatch, LetsGoOfWhatLeftTheTree) {
  std::string pattern = (fs::temp_directory_path() / "manifests.XXXXXX").string();
  const fs::path base = mkdtemp(pattern.data());
  fs::create_directories(base / "dir" / "sub" / "sub");
  FolderWatch watch((base / "dir").string());
  const auto watches = [&] {
    std::ifstream info("/proc/self/fdinfo/" + std::to_string(watch.fd()));
    int count = 0;
    for (std::string line; std::getline(info, line);) count += line.starts_with("inotify ") ? 1 : 0;
    return count;
  };
  watch.Scan();
  const int before = watches();
  fs::rename(base / "dir" / "sub", base / "gone");
  EXPECT_TRUE(watch.Drain().scan);
  watch.Scan();
  EXPECT_EQ(watches(), before - 2);
  fs::rename(base / "gone", base / "dir" / "again");
  EXPECT_TRUE(watch.Drain().scan);
  watch.Scan();
  EXPECT_EQ(watches(), before);
  fs::remove_all(base);
}

TEST(FolderWatch, LostEventsAskForAScan) {
  int queue = 0;
  std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> queue;
  if (queue == 0 || queue > 100'000) GTEST_SKIP() << "too many events to make";
  std::string pattern = (fs::temp_directory_path() / "manifests.XXXXXX").string();
  const fs::path base = mkdtemp(pattern.data());
  FolderWatch watch(base.string());
  watch.Scan();
  for (int i = 0; i <= queue / 2; ++i) {  // each change of a name is two events
    const bool even = i % 2 == 0;
    if (i == 0) std::ofstream(base / "a").put('x');
    fs::rename(base / (even ? "a" : "b"), base / (even ? "b" : "a"));
  }
  EXPECT_TRUE(watch.Drain().scan);
  fs::remove_all(base);
}

TEST(FolderWatch, TooDeepIsUnreadNotGone) {
  std::string pattern = (fs::temp_directory_path() / "manifests.XXXXXX").string();
  const fs::path base = mkdtemp(pattern.data());
  fs::path deepest = base;
  for (int i = 1; i <= FolderWatch::kMaxDepth; ++i) deepest /= "d";
  fs::create_directories(deepest);
  std::ofstream(deepest / "a.yaml").put('x');
  std::ofstream(deepest.parent_path() / "b.yaml").put('x');
  FolderWatch watch(base.string());
  const FolderWatch::Files files = watch.Scan();
  EXPECT_THAT(files.paths, ElementsAre((deepest.parent_path() / "b.yaml").string()));
  EXPECT_THAT(files.beyond_limits, ElementsAre(testing::Key(deepest.string())));
  EXPECT_THAT(files.unread, IsEmpty());
  fs::remove_all(base);
}

TEST(FolderWatch, WithoutLimitsOnLinksItEnds) {
  std::string pattern = (fs::temp_directory_path() / "manifests.XXXXXX").string();
  const fs::path base = mkdtemp(pattern.data());
  // Every folder has links to all, so there are more than 7! paths without a repetition.
  for (int i = 0; i < 7; ++i) fs::create_directory(base / std::to_string(i));
  for (int i = 0; i < 7; ++i) {
    for (int j = 0; j < 7; ++j) {
      fs::create_directory_symlink(base / std::to_string(j),
                                   base / std::to_string(i) / ("l" + std::to_string(j)));
    }
  }
  FolderWatch watch(base.string());
  const FolderWatch::Files files = watch.Scan();
  ASSERT_THAT(files.beyond_limits, testing::Not(IsEmpty()));
  EXPECT_THAT(files.beyond_limits.begin()->second, "too many folders");
  fs::remove_all(base);
}

}  // namespace
}  // namespace contour::file
