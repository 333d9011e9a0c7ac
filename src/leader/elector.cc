// SPDX-License-Identifier: Apache-2.0
#include "leader/elector.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/log.h"
#include "base/status.h"

namespace contour::leader {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr std::string_view kContext = "leader";
// After so many conflicts in a row the next try waits, since somebody else writes all the time.
constexpr int kRefusedAtOnce = 3;
constexpr int kReleaseTries = 2;
// Standbys that see the same expiry spread their tries over this time.
constexpr milliseconds kSpread{500};
constexpr milliseconds kShortestWait{100};

nanoseconds Scaled(nanoseconds time, double factor) {
  return nanoseconds(static_cast<std::int64_t>(static_cast<double>(time.count()) * factor));
}

// Returns the number of a resourceVersion. They are numbers that grow (documented since Kubernetes
// 1.35); nullopt: this one isn't a number.
std::optional<std::uint64_t> VersionNumber(std::string_view version) {
  std::uint64_t number = 0;
  const auto [end, error] =
      std::from_chars(version.data(), version.data() + version.size(), number);
  if (error != std::errc() || end != version.data() + version.size()) return std::nullopt;
  return number;
}

}  // namespace

std::string_view RoleName(Role role) {
  switch (role) {
    case Role::kStandby:
      return "standby";
    case Role::kLeader:
      return "leader";
    case Role::kCutOff:
      return "cut-off";
  }
  return "";
}

Elector::Elector(const Options& options, Clocks clocks, kube::Loop& loop, Lock& lock,
                 Listener& listener)
    : options_(options),
      clocks_(std::move(clocks)),
      loop_(loop),
      lock_(lock),
      listener_(listener),
      try_timer_(loop),
      cut_off_timer_(loop) {}

void Elector::Start() { Try(); }

void Elector::Contend() {
  contending_ = true;
  Try();
}

void Elector::OnWatching(bool watching) {
  watching_ = watching;
  // Changes from before the watch must be read. Without a watch the lock is read at intervals.
  if (state_.role == Role::kStandby && released_ == nullptr) {
    if (watching && !busy_since_) return Read();
    Schedule();
  }
}

void Elector::OnChanged(Reading reading) {
  if (done_) return;
  if (observed_ && !deleted_at_) {  // a late event must not undo what an answer said
    const auto known = VersionNumber(observed_->resource_version);
    const auto told = VersionNumber(reading.resource_version);
    if (known && told && *told <= *known) return;
  }
  Observe(std::move(reading));
  Decide();
}

void Elector::OnDeleted() {
  if (done_ || !observed_) return;
  Gone();
  log::Warning(kContext, "the lock was deleted",
               {{"lock", fmt::format("{}/{}", options_.ns, options_.name)},
                {"holder", observed_->record.holder}});
  Decide();
}

void Elector::Release(std::function<void()> done) {
  contending_ = false;
  released_ = std::move(done);
  CloseGate();
  if (!busy_since_) ReleaseNow();
}

BootTime Elector::ExpiresAt() const {
  if (deleted_at_) return *deleted_at_ + options_.lease_duration;
  return observed_at_ + observed_->record.lease_duration.value_or(
                            std::chrono::ceil<std::chrono::seconds>(options_.lease_duration));
}

bool Elector::IsHeld() const {
  return observed_ && (deleted_at_ || !observed_->record.holder.empty()) && !IsOurs();
}

bool Elector::MayTake() const { return contending_ && (!IsHeld() || clocks_.now() >= ExpiresAt()); }

void Elector::Gone() {
  if (observed_ && !deleted_at_) deleted_at_ = clocks_.now();
}

Record Elector::OurRecord() const {
  const std::string now = FormatTime(options_.kind, clocks_.wall());
  Record record{
      .holder = options_.identity,
      .lease_duration = std::chrono::duration_cast<std::chrono::seconds>(options_.lease_duration),
      .acquire_time = now,
      .renew_time = now,
      .transitions = 0};
  if (!observed_) return record;
  record.transitions = observed_->record.transitions;
  if (!IsOurs()) {
    ++record.transitions;
  } else if (!observed_->record.acquire_time.empty()) {
    record.acquire_time = observed_->record.acquire_time;
  }
  return record;
}

void Elector::Try() {
  if (done_) return;
  if (busy_since_) return;  // the answer decides anew
  if (released_ != nullptr) return ReleaseNow();
  if (!observed_ || !MayTake()) return Read();
  if (deleted_at_) return Create();
  Update();
}

void Elector::Begin() {
  try_timer_.Clear();
  busy_since_ = begun_ = clocks_.now();
}

void Elector::End() { busy_since_.reset(); }

void Elector::Read() {
  Begin();
  lock_.Read([this](absl::StatusOr<Reading> reading) {
    End();
    OnRead(std::move(reading));
  });
}

void Elector::Create() {
  Begin();
  lock_.Create(OurRecord(), [this, sent = *busy_since_](absl::StatusOr<Reading> reading) {
    End();
    OnWritten(sent, std::move(reading));
  });
}

void Elector::Update() {
  Begin();
  lock_.Update(*observed_, OurRecord(), [this, sent = *busy_since_](absl::StatusOr<Reading> r) {
    End();
    OnWritten(sent, std::move(r));
  });
}

void Elector::OnRead(absl::StatusOr<Reading> reading) {
  if (reading.ok()) {
    state_.sight = Sight::kClear;
    state_.problem.clear();
    state_.worked = true;
    deleted_at_.reset();
    Observe(*std::move(reading));
    Tell();
    // The leader reads only after a write was refused, and another try is due.
    return contending_ && IsOurs() ? Try() : Decide();
  }
  if (!absl::IsNotFound(reading.status())) {
    Failed(reading.status(), "read");
    return Schedule();
  }
  if (state_.sight != Sight::kRefused) state_.sight = Sight::kClear;
  Gone();
  Tell();
  if (released_ != nullptr || !MayTake()) return Decide();
  Create();
}

void Elector::OnWritten(BootTime sent, absl::StatusOr<Reading> reading) {
  if (reading.ok() && reading->record.holder == options_.identity) {
    refused_ = 0;
    ++state_.renewals;
    state_.sight = Sight::kClear;
    state_.problem.clear();
    state_.worked = true;
    deleted_at_.reset();
    const BootTime until = sent + options_.renew_deadline;
    Observe(*std::move(reading));
    if (released_ != nullptr) return ReleaseNow();
    may_write_until_.store(until.count(), std::memory_order_release);
    const BootTime now = clocks_.now();
    if (until <= now) {  // we were frozen meanwhile
      if (state_.role == Role::kLeader) SetRole(Role::kCutOff);
      return Try();
    }
    WaitForCutOff();
    SetRole(Role::kLeader);
    return Schedule();
  }
  const absl::Status status =
      reading.ok() ? absl::AbortedError("the lock names another holder") : reading.status();
  const bool too_late = absl::IsAborted(status) || absl::IsAlreadyExists(status) ||
                        (absl::IsNotFound(status) && observed_ && !deleted_at_);
  if (too_late && ++refused_ <= kRefusedAtOnce) return Read();
  refused_ = 0;
  Failed(status, "write");
  if (released_ != nullptr) return ReleaseNow();
  Schedule();
}

void Elector::WaitForCutOff() {
  const BootTime until(may_write_until_.load(std::memory_order_relaxed));
  const BootTime left = until - clocks_.now();
  if (left <= BootTime(0)) return SetRole(Role::kCutOff);
  cut_off_timer_.Set(left, [this] { WaitForCutOff(); });  // the loop's clock is another one
}

void Elector::ReleaseNow() {
  if (done_) return;
  if (IsOurs() && !deleted_at_ && release_tries_++ < kReleaseTries) {
    Record record = OurRecord();
    record.holder.clear();
    record.lease_duration = std::chrono::seconds(1);
    record.acquire_time = record.renew_time;
    Begin();
    lock_.Update(*observed_, record, [this](absl::StatusOr<Reading> reading) {
      End();
      if (reading.ok()) {
        log::Info(kContext, "released the lock", {{"identity", options_.identity}});
        Observe(*std::move(reading));
      } else if (absl::IsAborted(reading.status()) && release_tries_ < kReleaseTries) {
        return Read();  // OnRead comes back here
      } else {
        log::Warning(kContext, "failed to release the lock",
                     {{"error", Message(reading.status())}});
      }
      release_tries_ = kReleaseTries;
      ReleaseNow();
    });
    return;
  }
  done_ = true;
  try_timer_.Clear();
  cut_off_timer_.Clear();
  SetRole(Role::kStandby);
  released_();
}

void Elector::Failed(const absl::Status& status, std::string_view what) {
  ++state_.failures;
  const std::string lock =
      fmt::format("{} {}/{}", KindName(options_.kind), options_.ns, options_.name);
  std::string cure;
  Sight sight = Sight::kUnreachable;
  if (absl::IsNotFound(status)) {
    sight = Sight::kRefused;
    cure = fmt::format("; create the namespace (kubectl create namespace {}) or name another lock",
                       options_.ns);
  } else if (absl::IsPermissionDenied(status)) {
    sight = Sight::kRefused;
    cure = fmt::format(
        "; check that namespace {} exists and that contour's Role there allows get, watch, update "
        "and create of the lock (deploy/rbac), or name another lock",
        options_.ns);
  } else if (absl::IsInvalidArgument(status)) {
    sight = Sight::kRefused;
  }
  std::string problem =
      fmt::format("leader election: can't {} {}: {}{}", what, lock, Message(status), cure);
  if (problem != state_.problem) {
    log::Write(sight == Sight::kRefused ? log::Level::kError : log::Level::kWarning, kContext,
               "failed to use the lock",
               {{"lock", lock},
                {"error", Message(status)},
                {"cure", cure.empty() ? std::string() : cure.substr(2)}});
  }
  state_.problem = std::move(problem);
  state_.sight = sight;
  Tell();
}

void Elector::Observe(Reading reading) {
  const bool changed = !observed_ || observed_->record != reading.record;
  if (changed) observed_at_ = clocks_.now();
  observed_ = std::move(reading);
  deleted_at_.reset();
  const Record& record = observed_->record;
  if (changed && record.holder != state_.holder && !record.holder.empty() && !IsOurs()) {
    log::Info(kContext, "new leader elected", {{"identity", record.holder}});
  }
  state_.holder = record.holder;
  state_.transitions = record.transitions;
  if (state_.role == Role::kStandby || IsOurs() || released_ != nullptr) {
    if (changed) Tell();
    return;
  }
  // Another replica has taken the lock. Or it is free after a restore of the API server's data, and
  // another replica may be about to take it.
  CloseGate();
  SetRole(record.holder.empty() ? Role::kCutOff : Role::kStandby);
}

void Elector::Decide() {
  if (busy_since_) return;
  if (released_ != nullptr) return ReleaseNow();
  if (state_.role == Role::kLeader && IsOurs() && !deleted_at_) {
    if (!try_timer_.pending()) Schedule();  // else the renewal is on its way
    return;
  }
  if (MayTake()) return Try();
  Schedule();
}

void Elector::Schedule() {
  if (busy_since_ || done_ || released_ != nullptr) return;
  // The period counts from the beginning of the try before, so a try without answer is repeated at
  // once.
  nanoseconds wait = std::clamp<nanoseconds>(begun_ + options_.retry_period - clocks_.now(),
                                             kShortestWait, options_.retry_period);
  if (state_.role == Role::kStandby) {
    wait = Scaled(options_.retry_period, 1.0 + 1.2 * loop_.Random());  // as client-go's
    if (IsHeld()) {
      const nanoseconds left = ExpiresAt() - clocks_.now() +
                               Scaled(std::min<nanoseconds>(kSpread, wait), loop_.Random());
      const bool expiry_ahead = left > nanoseconds(0);
      if (expiry_ahead && contending_ && (watching_ || left < wait)) {
        wait = left;
      } else if (watching_ && !contending_) {
        return try_timer_.Clear();  // the watch tells
      }
    }
  }
  try_timer_.Set(wait, [this] { Try(); });
}

void Elector::CloseGate() {
  may_write_until_.store(0, std::memory_order_release);
  cut_off_timer_.Clear();
}

void Elector::SetRole(Role role) {
  if (role == state_.role) return Tell();
  const Role before = std::exchange(state_.role, role);
  if (role != Role::kLeader) CloseGate();
  const std::string lock = fmt::format("{}/{}", options_.ns, options_.name);
  if (role == Role::kLeader) {
    ++state_.gained;
    log::Info(kContext, "elected leader", {{"lock", lock}, {"identity", options_.identity}});
    listener_.OnTurn("became leader", *observed_);
  } else if (before == Role::kLeader) {
    ++state_.lost;
    if (role == Role::kCutOff) {
      log::Warning(kContext, "the lock can't be renewed: writing has stopped, serving goes on",
                   {{"lock", lock}, {"identity", options_.identity}});
    } else if (released_ == nullptr) {
      log::Info(kContext, "deposed as leader",
                {{"lock", lock}, {"identity", options_.identity}, {"holder", state_.holder}});
    }
    listener_.OnTurn("stopped leading", *observed_);
  } else if (role == Role::kStandby) {
    log::Info(kContext, "another leads now: serving stops",
              {{"lock", lock}, {"identity", options_.identity}, {"holder", state_.holder}});
  }
  Tell();
}

void Elector::Tell() { listener_.OnState(state_); }

}  // namespace contour::leader
