// SPDX-License-Identifier: Apache-2.0
// Decides which parts of one resource wait for clusters that aren't warm on an Envoy.
//
//   HoldDecision decision(envoy, held_before, now);
//   decision.Compare(sent, *wanted);
//   if (!decision.all_waits()) Send(decision.View(wanted));
//   if (decision.holds()) Hold(std::move(decision).TakeHeld(force));
//
// A part waits for the clusters that it names and that it didn't name as it was sent, at most until
// the time-out. Of a resource of which the Envoy has something that we don't know, all waits:
// nothing may go missing that the Envoy serves now, and we can't put back what we don't know.
//
// Thread: as a value.

#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "xds/session/messages.h"
#include "xds/session/waiting_resources.h"
#include "xds/snapshot/resource.h"

namespace contour::xds {

class EnvoyState;

class HoldDecision {
 public:
  // `before`: what of the resource waits by now; nullptr: nothing.
  HoldDecision(EnvoyState& envoy, const HeldResource* before, Time now)
      : envoy_(envoy), before_(before), now_(now) {}

  // `base`: the content that the Envoy has; nullptr: none.
  void Compare(const ResourcePtr& base, const Resource& wanted);

  bool holds() const { return !held_.since.empty(); }
  bool all_waits() const { return all_waits_; }
  bool some_waits() const { return !waiting_.empty(); }
  // Returns how many parts the time-out releases.
  std::size_t released() const { return released_; }
  // Returns `wanted` with the parts that wait as the Envoy has them.
  ResourcePtr View(const ResourcePtr& wanted) const;
  HeldResource TakeHeld(bool force) && {
    held_.force = force;
    return std::move(held_);
  }

 private:
  using Clusters = std::vector<std::string>;

  bool Waits(const std::string& part, const Clusters& needs, const Clusters* has);

  EnvoyState& envoy_;
  const HeldResource* const before_;
  const Time now_;
  HeldResource held_;
  std::size_t released_ = 0;
  bool all_waits_ = false;
  std::vector<std::pair<PartPtr, PartPtr>> waiting_;  // as sent, as wanted
};

}  // namespace contour::xds
