// SPDX-License-Identifier: Apache-2.0
#include "serve/fallback.h"

#include <fmt/core.h>

#include <utility>

#include "absl/time/time.h"
#include "base/log.h"
#include "base/status.h"

namespace contour::serve {
namespace {

constexpr std::string_view kContext = "snapshot";
constexpr std::chrono::milliseconds kPoll{100};

std::string TimeText(std::int64_t seconds) {
  return absl::FormatTime(absl::RFC3339_sec, absl::FromUnixSeconds(seconds), absl::UTCTimeZone());
}

}  // namespace

Fallback::Fallback(Options options, Hooks hooks)
    : options_(std::move(options)), hooks_(std::move(hooks)) {}

Fallback::~Fallback() { Stop(); }

absl::StatusOr<xds::SavedSnapshot> Fallback::Read() {
  absl::StatusOr<xds::SavedSnapshot> saved = xds::ReadSnapshotFile(options_.path);
  if (saved.ok()) return saved;
  if (!absl::IsNotFound(saved.status())) {
    log::Warning(kContext, "the snapshot file can't be used and is passed over",
                 {{"error", Message(saved.status())}});
  }
  absl::StatusOr<xds::SavedSnapshot> previous =
      xds::ReadSnapshotFile(xds::PreviousSnapshotFile(options_.path));
  if (previous.ok()) return previous;
  if (!absl::IsNotFound(previous.status())) {
    log::Warning(kContext, "the previous snapshot file can't be used and is passed over",
                 {{"error", Message(previous.status())}});
  }
  return saved;
}

void Fallback::Start() {
  if (options_.path.empty()) return;
  absl::StatusOr<xds::SavedSnapshot> saved = Read();
  xds::SnapshotKeeper::Options keeper{.path = options_.path};
  if (saved.ok()) {
    log::Info(kContext, "snapshot file read",
              {{"path", saved->path}, {"written", TimeText(saved->written)}});
    keeper.on_disk = saved->snapshot;
    if (saved->readable_by_others) {
      log::Warning(kContext, "the snapshot file holds private keys and others may read it",
                   {{"path", saved->path}, {"cure", "chmod 600"}});
    }
    // The file must be written again, with the right mode or in its place.
    const bool previous = saved->path != options_.path;
    keeper.write_anyway = saved->readable_by_others || previous;
    if (previous) keeper.old = xds::OldFile::kDrop;
  } else if (absl::IsNotFound(saved.status())) {
    log::Info(kContext, "no snapshot file yet", {{"path", options_.path}});
  }
  keeper_ = std::make_unique<xds::SnapshotKeeper>(std::move(keeper));
  keeper_->Start();
  if (!saved.ok()) return;
  if (hooks_.remember) hooks_.remember(saved->snapshot);
  {
    const MutexLock lock(mutex_);
    saved_ = *std::move(saved);
    state_ = State::kWaiting;
  }
  started_ = WorkerThread::Clock::now();
  worker_.Start([this] { return Look(); }, started_ + kPoll);
}

void Fallback::Stop() {
  worker_.Stop();
  if (keeper_ != nullptr) keeper_->Stop();
}

std::string Fallback::Reason(std::chrono::steady_clock::duration waited) const {
  if (waited >= options_.patience_while_away && hooks_.away())
    return "the API server can't be reached";
  if (waited >= options_.patience_while_unknown) {
    if (std::string unknown = hooks_.unknown(); !unknown.empty()) return unknown;
  }
  return waited >= options_.patience ? "there is no complete build yet" : "";
}

std::optional<WorkerThread::Time> Fallback::Look() {
  {
    const MutexLock lock(mutex_);
    if (state_ != State::kWaiting) return std::nullopt;
    const WorkerThread::Time now = WorkerThread::Clock::now();
    const std::string reason = Reason(now - started_);
    if (reason.empty()) return now + kPoll;
    state_ = State::kServing;
    log::Warning(
        kContext, "serving from the snapshot file until the objects are read",
        {{"path", saved_->path}, {"written", TimeText(saved_->written)}, {"reason", reason}});
    hooks_.publish(saved_->snapshot);  // with the lock: a live build comes after it
  }
  hooks_.served();
  return std::nullopt;
}

void Fallback::Publish(const xds::SnapshotPtr& snapshot) {
  {
    const MutexLock lock(mutex_);
    if (state_ == State::kServing) {
      log::Info(kContext, "the objects are read; serving from the snapshot file ends",
                {{"changed", saved_->snapshot->Version() != snapshot->Version()}});
    }
    state_ = State::kLive;
    saved_.reset();
    hooks_.publish(snapshot);
  }
  if (keeper_ != nullptr) keeper_->Offer(snapshot);
}

bool Fallback::serving() const {
  const MutexLock lock(mutex_);
  return state_ == State::kServing;
}

std::string Fallback::Remark() const {
  const MutexLock lock(mutex_);
  if (state_ != State::kServing) return {};
  return fmt::format("serving from the snapshot file, written {}", TimeText(saved_->written));
}

void Fallback::AddTo(admin::MetricsText& text) const {
  text.Set("contour_serving_from_snapshot_file", serving());
  if (keeper_ == nullptr) return;
  const xds::SnapshotKeeper::Statistics statistics = keeper_->statistics();
  text.Set("contour_snapshot_file_writes_total", statistics.written);
  text.Set("contour_snapshot_file_failures_total", statistics.failures);
  text.Set("contour_snapshot_file_written_seconds", statistics.last_written);
  text.Set("contour_snapshot_file_held_back", statistics.held_back);
}

}  // namespace contour::serve
