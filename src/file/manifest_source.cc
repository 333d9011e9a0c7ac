// SPDX-License-Identifier: Apache-2.0

#include "file/manifest_source.h"

#include <fmt/core.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <ctime>
#include <map>
#include <optional>
#include <set>
#include <system_error>
#include <thread>
#include <tuple>
#include <utility>

#include "api/secret.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/read_file.h"
#include "base/status.h"
#include "file/folder_watch.h"
#include "file/manifest.h"
#include "file/manifest_set.h"

namespace contour::file {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

constexpr std::string_view kContext = "file";

// Within this time content may change twice with the same time stamp of the file system.
constexpr std::chrono::milliseconds kClockGranularity{50};

// The time after which a scan of a watched folder is interrupted to look at news.
constexpr std::chrono::milliseconds kScanSlice{5};

constexpr std::string_view kBrokenLink = "a link on its way leads nowhere";
constexpr std::string_view kReplacedByEmpty =
    "it was replaced by an empty folder; is a mount missing?";

std::string ErrorText(int error) { return std::generic_category().message(error); }

nanoseconds ToDuration(const timespec& time) {
  return std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec);
}

// Returns how long ago `time` of a file was, by the clock that stamps files.
nanoseconds Age(const timespec& time) {
  timespec now = {};
  clock_gettime(CLOCK_REALTIME, &now);
  return ToDuration(now) - ToDuration(time);
}

// Files with equal stamps have equal content, if it was old enough when it was read.
struct Stamp {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t size = 0;
  nanoseconds modified{};
  nanoseconds changed{};  // catches content that was changed and given its old time

  bool operator==(const Stamp&) const = default;
};

Stamp StampOf(const struct stat& status) {
  return {status.st_dev, status.st_ino, status.st_size, ToDuration(status.st_mtim),
          ToDuration(status.st_ctim)};
}

class FileDescriptor {
 public:
  explicit FileDescriptor(int value) : value_(value) {}
  ~FileDescriptor() {
    if (value_ >= 0) close(value_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return value_; }

 private:
  const int value_;
};

// Returns the error of ReadFile without the path, which log and debug page show beside it.
std::string WithoutPath(const absl::Status& status, const std::string& path) {
  std::string_view message = Message(status);
  if (message.starts_with(path)) message.remove_prefix(path.size() + 2);
  return std::string(message);
}

// Returns why it isn't known whether `path` below `root` exists; nullopt: it is known.
std::optional<std::string> WhyUnknown(const std::string& root, const std::string& path) {
  for (std::size_t end = path.find('/', root.size() + 1);; end = path.find('/', end + 1)) {
    const std::string place = path.substr(0, end);
    struct stat status = {};
    if (lstat(place.c_str(), &status) != 0) {
      if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
      return ErrorText(errno);
    }
    if (S_ISLNK(status.st_mode) && stat(place.c_str(), &status) != 0)
      return std::string(kBrokenLink);
    if (end == std::string::npos) return std::nullopt;
  }
}

bool IsFolder(const std::string& path) {
  struct stat status = {};
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

// Keeps the times at which files are to be read, by path and by time.
class DueTimes {
 public:
  void Set(const std::string& path, Clock::time_point time) {
    Erase(path);
    by_path_.emplace(path, time);
    by_time_.emplace(time, path);
  }
  void Erase(const std::string& path) {
    const auto known = by_path_.find(path);
    if (known == by_path_.end()) return;
    by_time_.erase({known->second, path});
    by_path_.erase(known);
  }
  // Returns the files whose time has come, and removes them.
  std::vector<std::string> Take(Clock::time_point now) {
    std::vector<std::string> paths;
    while (!by_time_.empty() && by_time_.begin()->first <= now) {
      paths.push_back(by_time_.begin()->second);
      by_path_.erase(paths.back());
      by_time_.erase(by_time_.begin());
    }
    return paths;
  }
  Clock::time_point Next(Clock::time_point at_most) const {
    return by_time_.empty() ? at_most : std::min(at_most, by_time_.begin()->first);
  }

 private:
  std::map<std::string, Clock::time_point> by_path_;
  std::set<std::pair<Clock::time_point, std::string>> by_time_;
};

struct ByPath {
  bool operator()(const ManifestProblem& a, const ManifestProblem& b) const {
    return std::tie(a.path, a.kind, a.message) < std::tie(b.path, b.kind, b.message);
  }
};

}  // namespace

class ManifestSource::Worker {
 public:
  Worker(std::string folder, ManifestSourceOptions options)
      : folder_(std::move(folder)),
        options_(std::move(options)),
        wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
        watch_(folder_) {}

  ~Worker() { Stop(); }

  absl::Status Start(api::Sink& sink) {
    if (sink_ != nullptr) return FailedPrecondition("{}: started twice", folder_);
    if (!IsFolder(folder_)) return NotFound("manifest folder {}: not a folder", folder_);
    if (wake_.get() < 0) return Unavailable("eventfd: {}", ErrorText(errno));
    sink_ = &sink;
    thread_ = std::thread([this] { Run(); });
    return absl::OkStatus();
  }

  void Stop() {
    if (!thread_.joinable()) return;
    stopping_ = true;
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof(one));
    thread_.join();
  }

  std::vector<ManifestProblem> Problems() const {
    const MutexLock lock(mutex_);
    return {problems_.begin(), problems_.end()};
  }
  ManifestStats Stats() const {
    const MutexLock lock(mutex_);
    return stats_;
  }
  std::string NeverRead() const {
    const MutexLock lock(mutex_);
    return never_read_;
  }

 private:
  struct FileState {
    std::optional<Stamp> stamp;      // of what was read last; nullopt: read it at the next look
    std::optional<Hash128> content;  // that was read last, if all is said and done about it
    std::optional<Clock::time_point> gone_since;
    bool content_is_good = false;
    bool is_open = false;   // somebody is writing it
    bool was_good = false;  // at any time
  };
  enum class Reason { kStart, kScan, kNews };
  struct ProblemChange {
    ManifestProblem problem;
    bool now = false;  // false: it is over
  };

  void Run() {
    Scan(Reason::kStart, true);
    Publish();
    while (!stopping_ && !NeverReadNow().empty()) {
      if (!Wait()) return;
      Follow();
      Publish();
    }
    if (stopping_) return;
    started_ = true;
    Publish();
    log::Info(kContext, "manifests read",
              {{"folder", folder_},
               {"files", files_.size()},
               {"objects", set_.object_count()},
               {"problems", failures_.size()}});
    sink_->Synced();
    while (Wait()) {
      Follow();
      Publish();
    }
  }

  // Waits until there is something to do. Returns false if the thread is to stop.
  bool Wait() {
    const Clock::time_point until = due_.Next(to_look_at_.empty() ? next_scan_ : Clock::now());
    const auto rest = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    pollfd polled[] = {{wake_.get(), POLLIN, 0}, {watch_.fd(), POLLIN, 0}};
    poll(polled, 2, static_cast<int>(std::clamp<std::int64_t>(rest.count(), 0, 60'000)));
    return polled[0].revents == 0;
  }

  void Follow() {
    const FolderWatch::News news = watch_.Drain();
    const Clock::time_point now = Clock::now();
    for (const std::string& path : news.open) {
      files_[path].is_open = true;
      due_.Set(path, now + options_.write_grace);
    }
    for (const std::string& path : news.written) {
      if (news.open.contains(path)) continue;
      FileState& state = files_[path];
      state.is_open = false;
      state.stamp.reset();  // where the clock of a file system is coarse, it could be equal
      due_.Erase(path);
      Look(path, Reason::kNews);
    }
    for (const std::string& path : news.changed) Look(path, Reason::kNews);
    for (const std::string& path : due_.Take(now)) {
      if (const auto state = files_.find(path); state != files_.end())
        state->second.is_open = false;
      Look(path, Reason::kNews);
    }
    // A folder that was empty has a file now.
    const bool filled = !replaced_.empty() && !news.written.empty();
    if (news.scan || filled || (now >= next_scan_ && to_look_at_.empty())) {
      // If the scan was requested, or there is no watch, the files that it finds belong together.
      Scan(Reason::kScan, news.scan || filled || !unwatched_.empty());
    } else if (!to_look_at_.empty()) {
      GoOn();
    }
  }

  // Looks at some of the files that the last scan found.
  void GoOn() {
    const Clock::time_point end = Clock::now() + kScanSlice;
    while (!to_look_at_.empty() && Clock::now() < end) {
      const std::string path = std::move(to_look_at_.back());
      to_look_at_.pop_back();
      Look(path, Reason::kScan);
    }
    if (to_look_at_.empty()) Count(&ManifestStats::scans);
  }

  // Scans at once, or else file by file while news go first, since some of thousands of files may
  // have to be read.
  void Scan(Reason reason, bool at_once) {
    FolderWatch::Files found = watch_.Scan();
    FindReplacedFolders(found);
    std::map<std::string, std::string> unread = found.unread;
    unread.insert(found.beyond_limits.begin(), found.beyond_limits.end());
    for (const std::string& folder : replaced_) unread.emplace(folder, kReplacedByEmpty);
    if (!started_) {
      for (const std::string& path : found.without_data) found.unread.emplace(path, kBrokenLink);
      unread.insert(found.unread.begin(), found.unread.end());
    }
    for (const std::string& path : unread_folders_) {
      if (!unread.contains(path)) Mended(path);
    }
    unread_folders_.clear();
    for (const auto& [path, why] : unread) {
      unread_folders_.insert(path);
      Failed(path, why);
    }
    unlisted_ = std::move(found.unread);
    SetUnwatched(found.unwatched);
    to_look_at_.clear();
    for (const std::string& path : found.paths) {
      if (stopping_) return;
      files_.try_emplace(path);
      if (at_once) Look(path, reason);
    }
    std::vector<std::string> others;
    for (const auto& [path, state] : files_) {
      if (!found.paths.contains(path)) others.push_back(path);
    }
    for (const std::string& path : others) Gone(path);
    const bool wait_for_events = found.unwatched.empty() && (started_ || unlisted_.empty());
    next_scan_ = Clock::now() +
                 (wait_for_events ? options_.scan_interval : options_.unwatched_scan_interval);
    if (at_once) {
      Count(&ManifestStats::scans);
    } else {
      to_look_at_.assign(found.paths.rbegin(), found.paths.rend());
      GoOn();
    }
  }

  bool HasFilesBelow(const std::string& folder) const {
    const auto below = files_.lower_bound(folder + "/");
    return below != files_.end() && below->first.starts_with(folder + "/");
  }

  // Finds folders of known files that were replaced by other folders without files, and notes those
  // that have files.
  void FindReplacedFolders(const FolderWatch::Files& found) {
    const std::set<std::string>& paths = found.paths;
    replaced_.clear();
    std::erase_if(folders_, [&](const auto& known) { return !HasFilesBelow(known.first); });
    for (const auto& [folder, identity] : folders_) {
      const auto below = paths.lower_bound(folder + "/");
      const bool empty = below == paths.end() || !below->starts_with(folder + "/");
      const auto now = found.folders.find(folder);
      if (empty && now != found.folders.end() && now->second != identity) replaced_.insert(folder);
    }
    std::set<std::string> seen;
    for (const std::string& path : paths) {
      for (std::size_t end = path.rfind('/');
           end != std::string::npos && end >= watch_.root().size();
           end = path.rfind('/', end - 1)) {
        const std::string folder = path.substr(0, end);
        if (!seen.insert(folder).second) break;  // and so are those that it lies in
        if (const auto listed = found.folders.find(folder); listed != found.folders.end())
          folders_.insert_or_assign(folder, listed->second);
      }
    }
  }

  // Returns a text about the files for which the start waits; empty: none, or the start is over.
  std::string NeverReadNow() const {
    if (started_) return {};
    std::string text;
    for (const auto* problems : {&unlisted_, &unreadable_}) {
      for (const auto& [path, why] : *problems)
        text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", path, why);
    }
    return text;
  }

  // Updates the state of one file.
  void Look(const std::string& path, Reason reason) {
    struct stat status = {};
    if (stat(path.c_str(), &status) != 0) {
      if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) return Gone(path);
      return Unreadable(path, ErrorText(errno));
    }
    if (!S_ISREG(status.st_mode)) return Gone(path);
    FileState& state = files_[path];
    if (state.gone_since) {
      state.gone_since.reset();
      due_.Erase(path);
      set_.Unyield(path);
    }
    const Stamp stamp = StampOf(status);
    if (state.is_open || state.stamp == stamp) return;

    state.stamp.reset();
    absl::StatusOr<std::string> text =
        ReadFile(path, {.max_bytes = options_.max_file_bytes, .only_regular = true});
    if (absl::IsNotFound(text.status())) return Gone(path);
    if (!text.ok()) {
      Count(&ManifestStats::reads);
      Count(&ManifestStats::failed_reads);
      if (absl::IsUnavailable(text.status()))
        return Unreadable(path, WithoutPath(text.status(), path));
      LookAgainLater(path);
      return Failed(path, WithoutPath(text.status(), path));
    }
    unreadable_.erase(path);
    const Hash128 content = HashBytes(*text);
    if (state.content == content) {
      if (state.content_is_good) Mended(path);  // it is seen again
      return RememberStamp(state, stamp, status);
    }
    Count(&ManifestStats::reads);
    absl::StatusOr<std::vector<api::ObjectPtr>> objects = ParseManifest(
        *text, *FormatOf(NameOf(path)), options_.default_namespace, options_.yaml_limits);
    if (!objects.ok()) {
      Count(&ManifestStats::failed_reads);
      if (reason == Reason::kScan && Age(status.st_mtim) < options_.fresh_file_grace) {
        due_.Set(path, Clock::now() + options_.fresh_file_grace);
        return;
      }
      RememberStamp(state, stamp, status);
      state.content = content;
      state.content_is_good = false;
      return Failed(path, Message(objects.status()));
    }
    RememberStamp(state, stamp, status);
    state.content = content;
    std::erase_if(*objects, [](const api::ObjectPtr& object) {
      const auto* secret = api::As<api::Secret>(object.get());
      return secret != nullptr && !api::IsUsable(*secret);
    });
    log::Debug(kContext, "manifest read", {{"path", path}, {"objects", objects->size()}});
    set_.Put(path, *std::move(objects));
    state.content_is_good = state.was_good = true;
    Mended(path);
  }

  // Notes that the content of the file is unknown.
  void Unreadable(const std::string& path, std::string_view why) {
    unreadable_.insert_or_assign(path, why);
    LookAgainLater(path);
    Failed(path, why);
  }

  // The reason why a file can't be read (no free descriptor, an unreachable share) may end without
  // any event, so it is read again later.
  void LookAgainLater(const std::string& path) {
    due_.Set(path, Clock::now() + options_.unwatched_scan_interval);
    if (const auto state = files_.find(path); state != files_.end()) state->second.content.reset();
  }

  static void RememberStamp(FileState& state, const Stamp& stamp, const struct stat& status) {
    if (Age(status.st_ctim) > kClockGranularity) state.stamp = stamp;
  }

  static std::string_view NameOf(std::string_view path) { return path.substr(path.rfind('/') + 1); }

  // Handles a file that doesn't exist, or may not exist.
  void Gone(const std::string& path) {
    const auto found = files_.find(path);
    if (found == files_.end()) return;
    FileState& state = found->second;
    const std::optional<std::string> why = WhyUnknown(watch_.root(), path);
    if (why || IsUnknown(path)) {
      due_.Erase(path);
      state.gone_since.reset();
      set_.Unyield(path);
      state.stamp.reset();
      if (why) Failed(path, *why);
      return;
    }
    unreadable_.erase(path);
    const Clock::time_point now = Clock::now();
    if (!state.gone_since) {
      state.gone_since = now;
      state.stamp.reset();
      state.is_open = false;
      set_.Yield(path);
    }
    if (const auto end = *state.gone_since + options_.removal_grace; now < end) {
      due_.Set(path, end);
      return;
    }
    due_.Erase(path);
    set_.Remove(path);
    if (state.was_good) log::Info(kContext, "manifest removed", {{"path", path}});
    files_.erase(found);
    ForgetFailure(path);
  }

  // True if the file is below a folder that can't be read.
  bool IsUnknown(const std::string& path) const {
    if (!IsFolder(watch_.root())) return true;
    if (unread_folders_.empty()) return false;
    for (std::size_t slash = path.rfind('/'); slash != std::string::npos && slash > 0;
         slash = path.rfind('/', slash - 1)) {
      if (unread_folders_.contains(path.substr(0, slash))) return true;
    }
    return false;
  }

  void Failed(const std::string& path, std::string_view why) {
    std::string& message = failures_[path];
    if (message == why) return;
    if (!message.empty())
      problem_changes_.push_back({{ManifestProblem::Kind::kUnread, path, message}, false});
    message = why;
    problem_changes_.push_back({{ManifestProblem::Kind::kUnread, path, message}, true});
    const auto state = files_.find(path);
    const bool was_good = state != files_.end() && state->second.was_good;
    log::Error(kContext, "manifest not read",
               {{"path", path},
                {"error", why},
                {"in_force", was_good ? "its last good content" : "nothing of it"}});
    Tell({ManifestProblem::Kind::kUnread, path, message});
  }

  // Removes a failure. Returns false if there was none.
  bool ForgetFailure(const std::string& path) {
    const auto failure = failures_.find(path);
    if (failure == failures_.end()) return false;
    problem_changes_.push_back(
        {{ManifestProblem::Kind::kUnread, path, std::move(failure->second)}, false});
    failures_.erase(failure);
    return true;
  }

  void Mended(const std::string& path) {
    if (!ForgetFailure(path)) return;
    log::Info(kContext, "manifest mended", {{"path", path}});
  }

  void SetUnwatched(const std::string& why) {
    if (unwatched_ == why) return;
    const auto problem = [&] {
      return ManifestProblem{ManifestProblem::Kind::kUnwatched, watch_.root(), unwatched_};
    };
    if (!unwatched_.empty()) problem_changes_.push_back({problem(), false});
    unwatched_ = why;
    if (why.empty()) return;
    problem_changes_.push_back({problem(), true});
    log::Warning(kContext, "manifest folder not watched, changes are found by scanning",
                 {{"folder", folder_},
                  {"error", why},
                  {"interval_ms", options_.unwatched_scan_interval.count()}});
    Tell({ManifestProblem::Kind::kUnwatched, watch_.root(), why});
  }

  void Tell(const ManifestProblem& problem) {
    if (options_.on_problem) options_.on_problem(problem);
  }

  static ManifestProblem ProblemOf(const Shadowed& shadowed) {
    return {ManifestProblem::Kind::kShadowed, shadowed.loser,
            shadowed.winner == shadowed.loser
                ? fmt::format("{} is given twice, the first is in force", shadowed.ref.String())
                : fmt::format("{} is in {} too, which comes first and is in force",
                              shadowed.ref.String(), shadowed.winner)};
  }

  void TellShadowed() {
    for (const auto& [s, now] : set_.TakeShadowedChanges()) {
      problem_changes_.push_back({ProblemOf(s), now});
      if (!now) continue;
      log::Warning(kContext, "object in two manifests",
                   {{"object", s.ref.String()}, {"in_force", s.winner}, {"ignored", s.loser}});
      Tell(ProblemOf(s));
    }
  }

  // Passes on changed problems, numbers and objects.
  void Publish() {
    std::vector<api::Change> changes = set_.TakeChanges();
    TellShadowed();
    {
      const MutexLock lock(mutex_);
      for (ProblemChange& change : std::exchange(problem_changes_, {})) {
        if (change.now) {
          problems_.insert(std::move(change.problem));
        } else if (const auto known = problems_.find(change.problem); known != problems_.end()) {
          problems_.erase(known);
        }
      }
      never_read_ = NeverReadNow();
      stats_.files = files_.size();
      stats_.objects = set_.object_count();
      stats_.problems = problems_.size();
    }
    if (changes.empty()) return;
    const auto removed =
        std::count_if(changes.begin(), changes.end(),
                      [](const api::Change& change) { return change.object == nullptr; });
    log::Debug(kContext, "objects applied", {{"changes", changes.size()}, {"removed", removed}});
    sink_->Apply(std::move(changes));
  }

  void Count(std::uint64_t ManifestStats::* number) {
    const MutexLock lock(mutex_);
    ++(stats_.*number);
  }

  const std::string folder_;
  const ManifestSourceOptions options_;
  const FileDescriptor wake_;
  api::Sink* sink_ = nullptr;
  std::thread thread_;
  std::atomic<bool> stopping_ = false;

  // The following are used on the thread only.
  FolderWatch watch_;
  ManifestSet set_;
  std::map<std::string, FileState> files_;
  DueTimes due_;  // when to look at a file without news
  Clock::time_point next_scan_;
  std::vector<std::string> to_look_at_;  // what is left of a scan, the next file last
  bool started_ = false;                 // Synced was told
  std::set<std::string> unread_folders_;
  std::map<std::string, std::string> unlisted_;    // of these, those that can't be read, and why
  std::map<std::string, std::string> unreadable_;  // files that can't be read, and why
  std::map<std::string, FolderWatch::Identity> folders_;  // that had files
  std::set<std::string> replaced_;               // of these, that are others now, and empty
  std::map<std::string, std::string> failures_;  // by path of a file or folder
  std::string unwatched_;
  std::vector<ProblemChange> problem_changes_;  // since the last Publish, in order

  mutable Mutex mutex_;
  std::multiset<ManifestProblem, ByPath> problems_ ABSL_GUARDED_BY(mutex_);
  ManifestStats stats_ ABSL_GUARDED_BY(mutex_);
  std::string never_read_ ABSL_GUARDED_BY(mutex_);
};

ManifestSource::ManifestSource(std::string folder, ManifestSourceOptions options)
    : worker_(std::make_unique<Worker>(std::move(folder), std::move(options))) {}
ManifestSource::~ManifestSource() = default;

absl::Status ManifestSource::Start(api::Sink& sink) { return worker_->Start(sink); }
void ManifestSource::Stop() { worker_->Stop(); }
std::vector<ManifestProblem> ManifestSource::Problems() const { return worker_->Problems(); }
ManifestStats ManifestSource::Stats() const { return worker_->Stats(); }
std::string ManifestSource::NeverRead() const { return worker_->NeverRead(); }

}  // namespace contour::file
