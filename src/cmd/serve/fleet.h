// SPDX-License-Identifier: Apache-2.0
// The part that this process plays in its fleet: whether its xDS port is open and whether it
// writes.
//
//   Fleet fleet(options, lifecycle, {.open = …, .close = …, .writes = …});
//   fleet.Start();
//   fleet.KeysAreGood();        // the port has what its TLS needs, or needs none
//   fleet.Built();              // the first build is complete: it may be shown
//   …
//   fleet.Leave(2s);            // the lock is free for the next one
//
//                  port open, once built and with good keys      writes
//   no election    always                                        always
//   leader         always                                        while the lease lasts
//   cut off        always                                        no
//   standby        only if every replica serves                  no
//
// `open` and `close` run on the lifecycle's thread, one after the other. Standbys don't try for the
// lock before they are built and have good keys: who leads must be able to serve.

#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "admin/metrics.h"
#include "cmd/lifecycle.h"
#include "kube/credentials.h"
#include "leader/election.h"

namespace contour::cmd {

struct FleetOptions {
  leader::Options election;
  leader::AddressOptions address;
  std::shared_ptr<kube::Credentials> credentials;
};

class Fleet {
 public:
  struct Doors {
    std::function<bool()> open;  // the port; whether that succeeded
    std::function<void()> close;
    std::function<void(bool)> writes;  // whether statuses are ours to write
  };

  // nullopt: no election.
  Fleet(std::optional<FleetOptions> options, Lifecycle& lifecycle, Doors doors);
  ~Fleet();
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;

  void Start();
  void KeysAreGood();
  void Built();
  // What was served last may be shown, as nothing is known of the objects (see fallback.h). Where
  // only the leader serves: until another holder of the lock is seen, since that one knows better.
  void Remembered();
  // Writes no more and gives the lock back. The port is left as it is.
  void Leave(std::chrono::milliseconds patience);

  // Asked just before each write. Any thread, as the next four.
  bool MayWrite() const;
  std::string NotReady() const;  // why; empty: ready
  std::string Remark() const;    // what is wrong with the leader's address; empty: nothing
  std::string NotAlive() const;  // why; empty: alive
  void AddTo(admin::MetricsText& text) const;

 private:
  void OnView(const leader::View& view);
  bool ShouldServe() const;
  void ContendIfAble();
  void Settle();  // on the lifecycle's thread

  const bool all_serve_;
  Lifecycle& lifecycle_;
  const Doors doors_;
  std::string identity_;
  std::atomic<bool> keys_are_good_ = false;
  std::atomic<bool> built_ = false;
  std::atomic<bool> remembered_ = false;    // until we lead
  std::atomic<bool> another_seen_ = false;  // who holds the lock
  std::atomic<bool> left_ = false;
  std::atomic<bool> open_ = false;
  std::atomic<leader::Role> role_ = leader::Role::kStandby;
  std::unique_ptr<leader::Election> election_;  // last: it calls us
};

}  // namespace contour::cmd
