// SPDX-License-Identifier: Apache-2.0
// The election as a state machine: decides when to read, take, renew and release a lock, and in
// which role we are. Time, chance and the lock itself are given to it.
//
//   Elector elector(options, {.now = BootNow, .wall = system_clock::now}, loop, lock, listener);
//   elector.Start();       // looks at the lock
//   elector.Contend();     // from here on takes it when it is free
//   elector.OnChanged(reading) …            // what a watch of the lock tells
//   elector.Release([] { … });              // a clean stop: others needn't wait for the expiry
//
//                 taken, or renewed               can't renew for renew_deadline
//    kStandby ----------------------> kLeader --------------------------> kCutOff
//       ^  ^                          |    ^------------- renewed -----------|  |
//       |  +--- another holder seen --+                                         |
//       +---------------------------------- another holder seen ----------------+
//
// The rules, which are client-go's where two sides must agree:
//  - A record is free if it has no holder, or if *we* have seen it unchanged for its own
//    leaseDurationSeconds. Times in it aren't looked at: they are of another machine's clock.
//  - Each write names the resourceVersion that it was decided by. So the first write is tried at
//    once; only a refused one is followed by a read.
//  - A holder that has our identity is ourselves, before a restart.
//  - A lock that was there and is gone is made anew by its holder. Others wait `lease_duration`,
//    since they can't know whether there is one. Who has never seen the lock makes it at once.
//  - MayWrite() is true until `renew_deadline` after the *sending* of the last write that
//    succeeded, by a clock that runs while we are frozen; others take over `lease_duration` after
//    that at the earliest.
//  - We go on being kCutOff, not kStandby, until another holder is seen: serving what we know does
//    no harm while nobody else does.
//
// Everything on the loop's thread, except MayWrite (any). Listener and lock outlive it.

#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kube/loop.h"
#include "leader/boot_clock.h"
#include "leader/options.h"
#include "leader/record.h"

namespace contour::leader {

enum class Role {
  kStandby,  // somebody else leads, or nobody known
  kLeader,   // the lock is ours
  kCutOff,   // it was ours and can't be renewed, but nobody else is known to have it
};

// "standby", "leader", "cut-off".
std::string_view RoleName(Role role);

// The lock's object on the API server. Answers come later, on the loop's thread, never inside the
// call; at most one is awaited at a time.
class Lock {
 public:
  using Done = std::function<void(absl::StatusOr<Reading>)>;

  // kNotFound: there is no such object.
  virtual void Read(Done done) = 0;
  // kAlreadyExists; kNotFound: the namespace doesn't exist.
  virtual void Create(const Record& record, Done done) = 0;
  // kAborted: it isn't at base.resource_version any more; kNotFound.
  virtual void Update(const Reading& base, const Record& record, Done done) = 0;

 protected:
  ~Lock() = default;
};

// Whether the lock can be seen.
enum class Sight {
  kNotYet,       // no answer so far
  kClear,        // the last request was answered
  kUnreachable,  // the last request wasn't
  kRefused,      // it was, with something that won't go away by itself: rights, namespace
};

class Elector {
 public:
  struct Clocks {
    std::function<BootTime()> now;
    std::function<std::chrono::system_clock::time_point()> wall;  // for what records say
  };
  struct State {
    Role role = Role::kStandby;
    std::string holder;  // as last seen; empty: nobody
    Sight sight = Sight::kNotYet;
    bool worked = false;  // the lock has been read or written at least once
    std::string problem;  // why the last request failed, with the cure; empty: it didn't
    int transitions = 0;
    std::uint64_t gained = 0;    // times that we became leader
    std::uint64_t lost = 0;      // and ceased to be it
    std::uint64_t renewals = 0;  // writes of the lock that succeeded
    std::uint64_t failures = 0;  // requests that failed, conflicts aside
  };
  class Listener {
   public:
    virtual void OnState(const State& state) = 0;  // whenever it changed
    // For an Event: "became leader", "stopped leading", as client-go says it.
    virtual void OnTurn(std::string_view what, const Reading& lock) = 0;

   protected:
    ~Listener() = default;
  };

  Elector(const Options& options, Clocks clocks, kube::Loop& loop, Lock& lock, Listener& listener);
  Elector(const Elector&) = delete;
  Elector& operator=(const Elector&) = delete;

  void Start();
  void Contend();
  // What the watch says. While there is a watch, a lock that others hold isn't read time and again.
  void OnWatching(bool watching);
  void OnChanged(Reading reading);
  void OnDeleted();
  // Stops writing at once, gives the lock back if we hold it, then calls `done`, whatever came of
  // it. Nothing is done afterwards. Once.
  void Release(std::function<void()> done);

  const State& state() const { return state_; }
  bool MayWrite() const {
    return clocks_.now().count() < may_write_until_.load(std::memory_order_acquire);
  }
  // Since when an answer has been awaited.
  std::optional<BootTime> busy_since() const { return busy_since_; }

 private:
  // A lock that was deleted is ours only while we may write: nobody can have had it since.
  bool IsOurs() const {
    return observed_ && observed_->record.holder == options_.identity &&
           (!deleted_at_ || MayWrite());
  }
  bool IsHeld() const;  // by another, or perhaps
  bool MayTake() const;
  void Gone();
  BootTime ExpiresAt() const;
  // Of a new holder (`transitions` counted) or of ourselves.
  Record OurRecord() const;

  void Try();
  void Read();
  void Create();
  void Update();
  void ReleaseNow();
  void Begin();
  void End();
  void OnRead(absl::StatusOr<Reading> reading);
  void OnWritten(BootTime sent, absl::StatusOr<Reading> reading);
  void WaitForCutOff();
  void Failed(const absl::Status& status, std::string_view what);

  void Observe(Reading reading);
  void Decide();
  void Schedule();
  void CloseGate();
  void SetRole(Role role);
  void Tell();

  const Options options_;
  const Clocks clocks_;
  kube::Loop& loop_;
  Lock& lock_;
  Listener& listener_;

  bool contending_ = false;
  bool watching_ = false;
  std::function<void()> released_;  // set while and after we give it back
  bool done_ = false;
  std::optional<Reading> observed_;
  BootTime observed_at_{};              // when its record was seen to change
  std::optional<BootTime> deleted_at_;  // when `observed_` was seen to exist no more
  std::optional<BootTime> busy_since_;
  BootTime begun_{};  // of the last request
  int refused_ = 0;   // writes in a row that came too late
  int release_tries_ = 0;
  std::atomic<std::int64_t> may_write_until_ = 0;  // BootTime
  State state_;
  kube::Timer try_timer_;
  kube::Timer cut_off_timer_;
};

}  // namespace contour::leader
