// SPDX-License-Identifier: Apache-2.0
// Runs the election as a state machine: it decides when to read, take, renew and release a lock,
// and which role this replica has. Time, randomness and the lock itself are given to it.
//
// Example, given `const Options& options`, `kube::Loop& loop`, `Lock& lock`,
// `Elector::Listener& listener` and `Reading reading`:
//   Elector elector(options, {.now = BootNow, .wall = std::chrono::system_clock::now}, loop, lock,
//                   listener);
//   elector.Start();             // reads the lock
//   elector.Contend();           // from now on takes it when it is free
//   elector.OnChanged(reading);  // each state that a watch of the lock delivers
//   elector.Release([] {});      // a clean stop: others needn't wait for the expiry
//
//                 taken, or renewed               can't renew for renew_deadline
//    kStandby ----------------------> kLeader --------------------------> kCutOff
//       ^  ^                          |    ^------------- renewed -----------|  |
//       |  +--- another holder seen --+                                         |
//       +---------------------------------- another holder seen ----------------+
//
// The rules are client-go's where two electors must agree:
//
//  - A record is free if it has no holder, or if this process has seen it unchanged for the
//    record's leaseDurationSeconds. Its times aren't looked at: they are from the clock of another
//    machine.
//  - Each write names the resourceVersion on which it was decided. So the first write is tried at
//    once; only a write that is refused is followed by a read.
//  - A holder with our identity is this replica before a restart.
//  - A lock that was deleted is made again by its holder. Others wait `lease_duration`, since they
//    can't know whether there is a holder. A replica that has never seen the lock makes it at once.
//  - MayWrite() is true until `renew_deadline` after the *sending* of the last write that
//    succeeded, by a clock that runs while the process is frozen. Others take over `lease_duration`
//    after that at the earliest.
//  - The role stays kCutOff, and doesn't become kStandby, until another holder is seen: serving the
//    last state does no harm while nobody else serves.
//
// All methods must be called on the loop's thread, except MayWrite (any). Listener and lock outlive
// the elector.

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
  kStandby,  // another replica leads, or none is known to lead
  kLeader,   // the lock is ours
  kCutOff,   // it was ours and can't be renewed, but nobody else is known to have it
};

// Returns "standby", "leader" or "cut-off".
std::string_view RoleName(Role role);

// The interface to the lock's object on the API server. Answers come later, on the loop's thread,
// never inside the call. At most one request is under way at a time.
class Lock {
 public:
  using Done = std::function<void(absl::StatusOr<Reading>)>;

  // Reads the lock. kNotFound: there is no such object.
  virtual void Read(Done done) = 0;
  // Makes the lock. kAlreadyExists: there is one. kNotFound: the namespace doesn't exist.
  virtual void Create(const Record& record, Done done) = 0;
  // Writes a record. kAborted: the lock has no longer base.resource_version. kNotFound: it is gone.
  virtual void Update(const Reading& base, const Record& record, Done done) = 0;

 protected:
  ~Lock() = default;
};

// The outcome of the last request for the lock.
enum class Sight {
  kNotYet,       // there was no answer so far
  kClear,        // it succeeded
  kUnreachable,  // it got no answer
  kRefused,      // it failed by a problem that won't go away by itself: rights, namespace
};

class Elector {
 public:
  struct Clocks {
    std::function<BootTime()> now;
    std::function<std::chrono::system_clock::time_point()> wall;  // for the times in records
  };
  struct State {
    Role role = Role::kStandby;
    std::string holder;  // the last one seen; empty: nobody
    Sight sight = Sight::kNotYet;
    bool worked = false;  // the lock has been read or written at least once
    std::string problem;  // why the last request failed, with the remedy; empty: it didn't fail
    int transitions = 0;
    std::uint64_t gained = 0;    // times that this replica became the leader
    std::uint64_t lost = 0;      // times that it ceased to be the leader
    std::uint64_t renewals = 0;  // writes of the lock that succeeded
    std::uint64_t failures = 0;  // requests that failed, without conflicts
  };
  class Listener {
   public:
    virtual void OnState(const State& state) = 0;  // called whenever it changed
    // Called for an Event: "became leader" or "stopped leading", the texts of client-go.
    virtual void OnTurn(std::string_view what, const Reading& lock) = 0;

   protected:
    ~Listener() = default;
  };

  Elector(const Options& options, Clocks clocks, kube::Loop& loop, Lock& lock, Listener& listener);
  Elector(const Elector&) = delete;
  Elector& operator=(const Elector&) = delete;

  void Start();
  void Contend();
  // These report the watch. While it is open, a lock that others hold isn't read at intervals.
  void OnWatching(bool watching);
  void OnChanged(Reading reading);
  void OnDeleted();
  // Ends writing at once, gives the lock back if this replica holds it, then calls `done`, also if
  // that failed. Afterwards the elector does nothing. To be called once.
  void Release(std::function<void()> done);

  const State& state() const { return state_; }
  bool MayWrite() const {
    return clocks_.now().count() < may_write_until_.load(std::memory_order_acquire);
  }
  // Returns the time since which an answer has been awaited.
  std::optional<BootTime> busy_since() const { return busy_since_; }

 private:
  // True if this replica holds the lock. A lock that was deleted is ours only while we may write:
  // nobody else can have taken it since.
  bool IsOurs() const {
    return observed_ && observed_->record.holder == options_.identity &&
           (!deleted_at_ || MayWrite());
  }
  bool IsHeld() const;  // true if another replica holds it, or may hold it
  bool MayTake() const;
  void Gone();
  BootTime ExpiresAt() const;
  // Returns the record that this replica writes. If it becomes the holder, `transitions` is
  // counted.
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
  std::function<void()> released_;  // set while and after the lock is given back
  bool done_ = false;
  std::optional<Reading> observed_;
  BootTime observed_at_{};              // when its record was seen to change
  std::optional<BootTime> deleted_at_;  // when `observed_` was seen to exist no more
  std::optional<BootTime> busy_since_;
  BootTime begun_{};  // when the last request began
  int refused_ = 0;   // conflicts in a row
  int release_tries_ = 0;
  std::atomic<std::int64_t> may_write_until_ = 0;  // BootTime
  State state_;
  kube::Timer try_timer_;
  kube::Timer cut_off_timer_;
};

}  // namespace contour::leader
