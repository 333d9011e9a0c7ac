// SPDX-License-Identifier: Apache-2.0
// The leader election of this process: the elector on a thread and a connection of its own, so that
// nothing that happens to watches and statuses costs the lease.
//
//   Election election(credentials, options, address, [&](const View& view) { … });
//   election.Start();         // looks at the lock, and watches it
//   election.Contend();       // ready to lead: takes it when it is free
//   …
//   request.may_start = [&] { return election.MayWrite(); };   // of everything the leader writes
//   election.PublishAddress();                                 // the xDS port is open
//   …
//   election.Stop(2s);        // gives the lock back
//
// Threads: all methods from any but the election's own; `on_view` is called on that one and must
// not block.

#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "kube/credentials.h"
#include "leader/address.h"
#include "leader/elector.h"
#include "leader/options.h"

namespace contour::leader {

struct View {
  Elector::State elector;
  bool watching = false;  // the watch of the lock stands
  Address::State address;
};

class Election {
 public:
  Election(std::shared_ptr<kube::Credentials> credentials, const Options& options,
           AddressOptions address, std::function<void(const View&)> on_view);
  ~Election();  // without giving the lock back, unless Stop was called
  Election(const Election&) = delete;
  Election& operator=(const Election&) = delete;

  void Start();
  void Contend();
  // Closes the gate at once, then gives the lock back, for at most `patience`. Once.
  void Stop(std::chrono::milliseconds patience);

  // Whether a write of the leader may go out now.
  bool MayWrite() const;
  // While we lead: now and whenever it was changed, until we don't lead any more.
  void PublishAddress();

  View view() const;
  // Why the election doesn't work any more and the process should be started anew; empty: it does.
  std::string NotAlive() const;
  // Why we can't take part, with the cure; empty: we can, or the API server is away, or we could
  // before (one on its way up refuses too, and who serves well is not to be taken out for that).
  std::string NotReady() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace contour::leader
