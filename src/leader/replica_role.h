// SPDX-License-Identifier: Apache-2.0
// Decides which role this process has among the replicas of contour: if its xDS port is open, and
// if it writes.
//
// Example:
//   ReplicaRole role({.open = [] { return true; },
//                     .close = [] {},
//                     .set_writing = [](bool) {},
//                     .post = [](const std::function<void()>& work) { work(); }});
//   role.Start();
//   role.KeysAreGood();  // the port has what its TLS needs, or needs none
//   role.Built();        // the first build is complete: the port opens
//   role.Leave(2s);      // the lock is free for the next one
//
//                  port open, once built and with good keys      writes
//   no election    always                                        always
//   leader         always                                        while the lease lasts
//   cut off        always                                        no
//   standby        only if every replica serves                  no
//
// `open` and `close` run one after the other, in the way in which `post` runs work. Standbys don't
// try to get the lock before they are built and have good keys: a leader must be able to serve.

#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "leader/candidate.h"

namespace contour::leader {

class ReplicaRole {
 public:
  struct Callbacks {
    std::function<bool()> open;  // opens the port; true if that succeeded
    std::function<void()> close;
    std::function<void(bool)> set_writing;  // true: this replica writes statuses
    // Runs `work` later, one piece after the other. It runs while the ReplicaRole lives, or never.
    std::function<void(std::function<void()> work)> post;
  };
  struct Electing {
    std::string identity;
    bool all_serve = false;  // every replica serves xDS, only the leader writes
    // Makes the candidate, which calls `on_view` whenever something has changed, on one thread.
    std::function<std::unique_ptr<Candidate>(std::function<void(const View&)> on_view)> make;
  };

  // nullopt: no election.
  explicit ReplicaRole(Callbacks callbacks, const std::optional<Electing>& electing = std::nullopt);
  ~ReplicaRole();
  ReplicaRole(const ReplicaRole&) = delete;
  ReplicaRole& operator=(const ReplicaRole&) = delete;

  void Start();
  void KeysAreGood();
  void Built();
  // Allows to serve what was served last, as nothing is known of the objects (see
  // serve/fallback.h). Where only the leader serves, this ends when another holder of the lock is
  // seen, since that one knows the objects.
  void Remembered();
  // Ends writing and gives the lock back. The port stays as it is.
  void Leave(std::chrono::milliseconds patience);

  // Asked just before each write. Any thread, as the next four.
  bool MayWrite() const;
  std::string NotReady() const;      // returns why it isn't ready; empty: it is
  std::string Remark() const;        // returns what is wrong with the leader's address
  std::string NotAlive() const;      // returns why it isn't alive; empty: it is
  std::optional<View> view() const;  // nullopt: no election

 private:
  void OnView(const View& view);
  bool ShouldServe() const;
  void ContendIfAble();
  void PostSettle();
  void Settle();  // opens or closes the port; as `post` runs it

  const bool all_serve_;
  const Callbacks callbacks_;
  const std::string identity_;
  std::atomic<bool> keys_are_good_ = false;
  std::atomic<bool> built_ = false;
  std::atomic<bool> remembered_ = false;    // until we lead
  std::atomic<bool> another_seen_ = false;  // another replica holds the lock
  std::atomic<bool> left_ = false;
  std::atomic<bool> open_ = false;
  std::atomic<Role> role_ = Role::kStandby;
  std::unique_ptr<Candidate> candidate_;  // last: it calls us; nullptr: no election
};

}  // namespace contour::leader
