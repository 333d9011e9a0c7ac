// SPDX-License-Identifier: Apache-2.0
// Runs the leader election of this process: the elector has a thread and a connection of its own,
// so that watches and statuses can't cost the lease.
//
// Example, given `std::shared_ptr<kube::Credentials> credentials` and `const Options& options`:
//   Election election(credentials, options, {.ns = "projectcontour"}, [](const View&) {});
//   election.Start();           // reads the lock, and watches it
//   election.Contend();         // ready to lead: takes it when it is free
//   election.PublishAddress();  // the xDS port is open
//   const bool may_start = election.MayWrite();  // asked before everything that the leader writes
//   election.Stop(2s);                           // gives the lock back
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
#include "leader/candidate.h"
#include "leader/options.h"

namespace contour::leader {

class Election final : public Candidate {
 public:
  Election(std::shared_ptr<kube::Credentials> credentials, const Options& options,
           AddressOptions address, std::function<void(const View&)> on_view);
  ~Election() override;  // doesn't give the lock back, unless Stop was called
  Election(const Election&) = delete;
  Election& operator=(const Election&) = delete;

  void Start() override;
  void Contend() override;
  void Stop(std::chrono::milliseconds patience) override;
  bool MayWrite() const override;
  void PublishAddress() override;
  View view() const override;
  std::string NotAlive() const override;
  std::string NotReady() const override;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace contour::leader
