// SPDX-License-Identifier: Apache-2.0
// The resources of one type on one stream that wait: for clusters that aren't warm yet (held), or
// for the end of their use before they are withdrawn (blocked).
//
//   WaitingResources waiting(index, stream, ResourceType::kRoutes, warm_timeout, figures);
//   waiting.Hold("ingress_http", std::move(hold));
//   waiting.Release("ingress_http");
//
// The HoldIndex of the session finds what is held by its clusters and by its time-out.
//
// Thread: as a value.

#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/strings.h"
#include "xds/session/figures.h"
#include "xds/session/hold_index.h"
#include "xds/session/messages.h"
#include "xds/session/tally.h"
#include "xds/snapshot/resource.h"

namespace contour::xds {

// A resource of which something waits for clusters.
struct HeldResource {
  std::map<std::string, Time> since;  // by part; "": the resource as a whole
  std::optional<Time> earliest;       // of those of `since` that a time-out releases
  StringSet waiting_for;              // clusters
  bool force = false;                 // it is to be sent even if equal
  Share share;                        // of SessionFigures::held_parts
};

class WaitingResources {
 public:
  WaitingResources(HoldIndex& index, std::uint64_t stream, ResourceType type,
                   std::chrono::milliseconds warm_timeout, SessionFigures& figures)
      : index_(index),
        stream_(stream),
        type_(type),
        warm_timeout_(warm_timeout),
        figures_(figures) {}
  ~WaitingResources();
  WaitingResources(const WaitingResources&) = delete;
  WaitingResources& operator=(const WaitingResources&) = delete;

  bool empty() const { return held_.empty() && blocked_.empty(); }
  const std::map<std::string, HeldResource>& held() const { return held_; }
  // Returns nullptr if nothing of the resource is held.
  const HeldResource* FindHeld(const std::string& name) const;
  // Holds the resource, or goes on to hold it. REQUIRES: something of it waits.
  void Hold(const std::string& name, HeldResource held);
  void Release(const std::string& name);
  // The held resource was sent as it was before.
  void ClearForce(const std::string& name) { held_.at(name).force = false; }

  const std::set<std::string>& blocked() const { return blocked_; }
  void Block(const std::string& name) { blocked_.insert(name); }
  void Unblock(const std::string& name) { blocked_.erase(name); }

 private:
  HoldIndex::Wait WaitOf(const HeldResource& held) const;

  HoldIndex& index_;
  const std::uint64_t stream_;
  const ResourceType type_;
  const std::chrono::milliseconds warm_timeout_;
  SessionFigures& figures_;
  std::map<std::string, HeldResource> held_;
  std::set<std::string> blocked_;
};

}  // namespace contour::xds
