// SPDX-License-Identifier: Apache-2.0
// Remembers what an Envoy has from before: from its connection before this one (PreviousState),
// and, within a session of streams per type, from a stream that ended (LingeringStreams).
//
//   PreviousState previous(memory);                            // of the session before, or null
//   if (const Table* had = previous.Recall(type, version)) …   // the Envoy names this version
//   …
//   previous.Remember(type, table, names, /*acked=*/true);     // for the session that follows
//   std::shared_ptr<const Memory> memory = previous.Take();
//
// Thread: as a value. A Memory is immutable.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "xds/session/messages.h"
#include "xds/session/subscribed_names.h"
#include "xds/snapshot/resource.h"
#include "xds/snapshot/snapshot.h"

namespace contour::xds {

// The state of an Envoy that is kept after its session ended, for the next session: every table
// that it was sent and may have applied. It is believed only where the Envoy names the same
// versions, so that the memory of another Envoy with the same node id does no harm.
struct Memory {
  struct State {
    Hash128 version;     // by which the Envoy names it
    Table table;         // what of it the Envoy still subscribed to
    bool acked = false;  // the Envoy acked all of it, as far as we know it
  };
  std::array<std::vector<State>, kResourceTypes> states;
  bool own = true;  // of this Envoy; else of any that may have been there
};

// Returns what an Envoy has that acked all of the snapshot, which a process before this one served.
std::shared_ptr<const Memory> MemoryOf(const Snapshot& past);

class PreviousState {
 public:
  // `memory`: of the session before; nullptr: there was none.
  explicit PreviousState(std::shared_ptr<const Memory> memory) : memory_(std::move(memory)) {}

  // True if the session before had clusters.
  bool had_clusters() const;

  // Returns the resource of this version that the Envoy may have; nullptr: it isn't remembered.
  ResourcePtr Recall(ResourceType type, const std::string& name, const Hash128& version) const;
  // Returns the table of this version; nullptr: it isn't remembered.
  const Table* Recall(ResourceType type, std::string_view version) const;

  // Remembers what of the table the stream, which ends, still subscribes to.
  void Remember(ResourceType type, const Table& table, const SubscribedNames& names, bool acked);
  // Returns what to remember of this session. What it didn't come to ask is as it was: clusters, if
  // it lasted no longer than they warmed.
  std::shared_ptr<const Memory> Take();

 private:
  // States that a session remembers at most, of one type: of one stream per route configuration
  // there may be many.
  static constexpr std::size_t kMostStates = 256;

  const std::shared_ptr<const Memory> memory_;  // may be null
  Memory leaving_;                              // of the streams that ended
};

// The state of streams per type that ended: the Envoy goes on running what they sent until it asks
// again.
class LingeringStreams {
 public:
  using Name = std::pair<ResourceType, std::string>;

  // How long it lingers: Envoy retries within 30 s.
  static constexpr std::chrono::seconds kTime{60};

  void Add(ResourceType type, const ResourcePtr& resource, Time now);
  // Removes a resource whose time is over and returns its name; nullopt: there is none.
  std::optional<Name> TakeExpired(Time now);
  // Removes the resources to which a stream subscribes, which says now what the Envoy has. Returns
  // their names.
  std::vector<Name> TakeSubscribed(ResourceType type, const SubscribedNames& names);
  std::optional<Time> NextDeadline() const;

  bool Contains(ResourceType type, const std::string& name) const {
    return by_name_.contains({type, name});
  }
  // Calls f(const ResourcePtr&) for each content that lingers under this name.
  template <typename Function>
  void ForEach(ResourceType type, const std::string& name, Function&& f) const {
    const auto [from, to] = by_name_.equal_range({type, name});
    for (auto at = from; at != to; ++at) f(resources_.at(at->second).resource);
  }

 private:
  struct Lingering {
    Time expires;
    ResourceType type;
    ResourcePtr resource;
  };

  Name Remove(std::map<std::uint64_t, Lingering>::iterator at);

  std::map<std::uint64_t, Lingering> resources_;  // by a number, in the order of expiry
  std::uint64_t numbers_ = 0;
  std::multimap<Name, std::uint64_t> by_name_;
};

}  // namespace contour::xds
