// SPDX-License-Identifier: Apache-2.0
// The interface by which a replica takes part in a leader election. Election (election.h)
// implements it; tests have an implementation without a lock and an API server.

#pragma once

#include <chrono>
#include <string>

#include "leader/address.h"
#include "leader/elector.h"

namespace contour::leader {

struct View {
  Elector::State elector;
  bool watching = false;  // the watch of the lock is open
  Address::State address;
};

class Candidate {
 public:
  virtual ~Candidate() = default;

  // Reads the lock, and watches it.
  virtual void Start() = 0;
  // Takes the lock when it is free.
  virtual void Contend() = 0;
  // Ends writing at once, then gives the lock back, for at most `patience`. To be called once.
  virtual void Stop(std::chrono::milliseconds patience) = 0;

  // True if a write of the leader may go out now.
  virtual bool MayWrite() const = 0;
  // Publishes the address now and whenever somebody changed the slice, as long as this replica
  // leads.
  virtual void PublishAddress() = 0;

  virtual View view() const = 0;
  // Returns why the election doesn't work any more, so that the process should be restarted; empty:
  // it works.
  virtual std::string NotAlive() const = 0;
  // Returns why this replica can't take part, with the remedy. Empty: it can, or the API server is
  // away, or it could before. (A starting API server refuses requests too, and a replica that
  // serves well should not become unready for that.)
  virtual std::string NotReady() const = 0;
};

}  // namespace contour::leader
