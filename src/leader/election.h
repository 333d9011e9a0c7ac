// SPDX-License-Identifier: Apache-2.0
// Runs the leader election of this process: the elector has a thread and a connection of its own,
// so that watches and statuses can't cost the lease.
//
//   Election election(credentials, options, address, [&](const View& view) { … });
//   election.Start();         // reads the lock, and watches it
//   election.Contend();       // ready to lead: takes the lock when it is free
//   …
//   request.may_start = [&] { return election.MayWrite(); };   // for each write of the leader
//   election.PublishAddress();                                 // the xDS port is open
//   …
//   election.Stop(2s);        // gives the lock back
//
// The methods may be called on any thread but the election's own. `on_view` is called on that one
// and must not block.

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
  bool watching = false;  // the watch of the lock is open
  Address::State address;
};

class Election {
 public:
  Election(std::shared_ptr<kube::Credentials> credentials, const Options& options,
           AddressOptions address, std::function<void(const View&)> on_view);
  ~Election();  // doesn't give the lock back, unless Stop was called
  Election(const Election&) = delete;
  Election& operator=(const Election&) = delete;

  void Start();
  void Contend();
  // Ends writing at once, then gives the lock back, for at most `patience`. To be called once.
  void Stop(std::chrono::milliseconds patience);

  // True if a write of the leader may go out now.
  bool MayWrite() const;
  // Publishes the address now and whenever somebody changed the slice, as long as this replica
  // leads.
  void PublishAddress();

  View view() const;
  // Returns why the election doesn't work any more, so that the process should be restarted; empty:
  // it works.
  std::string NotAlive() const;
  // Returns why this replica can't take part, with the remedy. Empty: it can, or the API server is
  // away, or it could before. (A starting API server refuses requests too, and a replica that
  // serves well should not become unready for that.)
  std::string NotReady() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace contour::leader
