// SPDX-License-Identifier: Apache-2.0
// Values that say what is known of the Envoys, for metrics, debug pages and logs.
//
// Thread: plain values, any thread.

#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/latency.h"
#include "xds/snapshot/resource.h"

namespace contour::xds {

// A response that an Envoy NACKed. A NACK names the response, not the resource at fault: Envoy may
// have applied some of the others in it.
struct Rejection {
  ResourceType type = ResourceType::kCluster;
  std::string node_id;
  std::string peer;                // address of the connection
  std::string error_message;       // Envoy's error_detail.message
  std::vector<std::string> names;  // of what the response changed, sorted
};

// One resource on one Envoy. Versions as on the wire; nullopt: none.
struct LedgerEntry {
  ResourceType type = ResourceType::kCluster;
  std::string name;
  std::optional<std::string> sent;
  std::optional<std::string> acknowledged;
  std::optional<std::string> rejected;
  std::string error_message;            // Envoy's about `rejected`
  std::vector<std::string> held_parts;  // wait for clusters; "" is the resource as a whole
  bool retained = false;                // no longer in the snapshot, but still in use there
  bool warming = false;                 // a cluster that isn't known to be warm
};

// Names what waits for clusters on one Envoy, and of the clusters the first kMostClusters.
struct HeldView {
  static constexpr std::size_t kMostClusters = 10;

  std::string resource;
  std::string part;                      // "": the resource as a whole
  std::vector<std::string> waiting_for;  // of the resource's clusters those that aren't warm
  std::chrono::milliseconds since{0};    // how long
};

// A content that this Envoy rejected. It isn't sent again until it changes.
struct RejectedView {
  ResourceKey key;
  std::string version;
  std::string error_message;  // Envoy's
  // The content itself is at fault. Else it came in a NACKed response, and which content of it is
  // at fault is being found out.
  bool culprit = false;
  // The error message speaks of the Envoy's node (see node_fault.h). The content is sent again
  // after a while.
  bool node_fault = false;
};

// A resource that an Envoy can't take because of its node, or takes after all.
struct NodeFault {
  ResourceKey key;
  std::string error_message;  // Envoy's error_detail.message
  std::string node_id;
  std::string peer;
  bool ends = false;
};

// One type on one Envoy, over all of its streams. Versions as on the wire.
struct TypeView {
  ResourceType type = ResourceType::kCluster;
  std::size_t streams = 0;                       // that subscribe to it
  std::size_t sent = 0;                          // resources
  std::size_t acknowledged = 0;                  // of these, as sent last
  std::size_t rejected_resources = 0;            // with a content that the Envoy rejected
  std::size_t held_resources = 0;                // of which something waits for clusters
  std::string sent_version;                      // of the last response
  std::string acknowledged_version;              // of the last acknowledged response
  std::size_t unacknowledged = 0;                // responses under way
  std::optional<std::chrono::milliseconds> lag;  // since the oldest of them was sent
  bool searching = false;                        // for what is at fault in a NACKed response
  std::string error_message;                     // of the last NACK; empty: there was none
  std::optional<std::chrono::milliseconds> rejected_ago;
  std::vector<RejectedView> rejected;  // now, the first ones
  std::vector<HeldView> held;          // the first ones
};

// One Envoy: an ADS stream, or the streams per type of one connection.
struct SessionView {
  std::string node_id;
  std::string peer;
  bool aggregated = false;
  bool delta = false;  // else state of the world
  // It rejects what it acked before: its reports of culprits don't count.
  bool reports_ignored = false;
  std::size_t streams = 0;
  std::array<TypeView, kResourceTypes> types;  // by ResourceType
  std::vector<LedgerEntry> entries;            // by type, then name; the first ones
  bool more = false;  // there are further ones, also of rejected or held ones
};

// Which Envoys are shown, and which of their resources.
struct ViewFilter {
  static constexpr std::size_t kEverything = static_cast<std::size_t>(-1);

  std::optional<std::string> node;      // only Envoys of this node id
  std::optional<ResourceType> type;     // only resources of this type
  std::optional<std::string> resource;  // only resources of this name, whatever their state
  // Shows every resource; else those that aren't settled: rejected, held, warming, not
  // acknowledged, or kept although they have left the snapshot.
  bool all = false;
  // The page after another one: only Envoys after this one, by node id and address, and of the
  // Envoys' resources only those after this name.
  std::pair<std::string, std::string> after_envoy;
  std::string after_resource;
  std::size_t most_envoys = 100;
  std::size_t most_entries = 1000;  // of all Envoys together; rejected and held ones count as well

  static const ViewFilter& Everything();
};

struct SessionViews {
  std::vector<SessionView> envoys;  // by node id and peer, the first ones
  bool more_envoys = false;
  std::size_t busy_workers = 0;  // of these no Envoy is shown: they didn't answer in time
  std::size_t workers = 0;
};

// Says what became of one resource on one Envoy.
enum class Fate : std::uint8_t {
  kAcknowledged,
  kSent,
  kHeld,      // until its clusters are warm
  kRejected,  // by the Envoy
  kWarming,
  kNotSent,
  kNotSubscribed
};
inline constexpr std::size_t kFates = 7;

struct ResourceQuestion {
  ResourceType type = ResourceType::kCluster;
  std::string name;
  std::string part;  // a virtual host or a filter chain; empty: the whole
};

// Says what became of one resource on all Envoys.
struct ResourceFates {
  static constexpr std::size_t kMostOthers = 20;
  struct Other {
    std::string node_id;
    std::string peer;
    Fate fate = Fate::kSent;
    std::string error_message;  // Envoy's, of one that it rejected
  };
  std::array<std::size_t, kFates> counts = {};  // by Fate, of Envoys
  std::vector<Other> others;  // the first ones that subscribe to it and haven't acknowledged it
};

struct FleetFates {
  std::size_t envoys = 0;
  std::vector<ResourceFates> resources;  // in the order of the questions
  std::size_t busy_workers = 0;          // their Envoys aren't counted
  std::size_t workers = 0;
};

// The Envoys from which a rejected content is kept.
enum class Reach : std::uint8_t {
  kNode,   // from those of the nodes that rejected it
  kFleet,  // from all: several nodes rejected it with the same error message
};

// A rejected content that is quarantined; see quarantine.h.
struct QuarantineView {
  ResourceKey key;
  std::string version;
  std::string error_message;  // Envoy's
  std::string node_id;        // that Envoy
  std::string peer;           // its address
  Reach reach = Reach::kNode;
  std::size_t nodes = 1;             // that rejected it
  bool replaced = false;             // by the last good content; else it is left out
  std::chrono::milliseconds ago{0};  // how long
};

// Names what stand-ins need: the last good contents in the places of quarantined ones. The objects
// may no longer use it, so whoever builds the snapshots is to follow it nevertheless.
struct StandInNeeds {
  std::set<std::string> assignments;
  std::set<std::string> secrets;

  bool operator==(const StandInNeeds&) const = default;
};

// Counted since the start, unless it says otherwise.
struct Counters {
  std::array<std::uint64_t, kResourceTypes> responses = {};  // by ResourceType
  std::array<std::uint64_t, kResourceTypes> rejections = {};
  // Parts and resources that were sent by the time-out although their clusters weren't warm.
  std::uint64_t released = 0;
  std::uint64_t turned_away = 0;  // subscriptions to secrets that were not remembered
  LatencyValues acknowledged;     // from a response to its acknowledgement

  Counters& operator+=(const Counters& other) {
    for (std::size_t i = 0; i < kResourceTypes; ++i) {
      responses[i] += other.responses[i];
      rejections[i] += other.rejections[i];
    }
    released += other.released;
    turned_away += other.turned_away;
    acknowledged += other.acknowledged;
    return *this;
  }
};

// How far an Envoy is behind.
struct Lag {
  std::string node_id;
  std::chrono::milliseconds time{0};  // since its oldest unanswered response; 0: none
};

struct Metrics {
  Counters counters;
  std::uint64_t bytes = 0;  // of responses, before compression and TLS
  std::uint64_t streams_opened = 0;
  std::size_t streams = 0;   // open now
  std::size_t sessions = 0;  // Envoys now
  // Parts and resources that wait for clusters now. What a stream hasn't come to yet, since its
  // Envoy doesn't read, isn't among them.
  std::size_t held = 0;
  std::size_t unknown_secrets = 0;    // subscribed names of secrets that nobody serves
  std::size_t quarantined = 0;        // rejected contents that are quarantined now
  std::size_t quarantined_fleet = 0;  // of these, those that are kept from all Envoys
  std::size_t node_faults = 0;        // resources that an Envoy can't take because of its node now
  std::uint64_t quarantined_total = 0;
  std::uint64_t released_total = 0;  // of them
  std::vector<Lag> lags;             // of each session

  Metrics& operator+=(const Metrics& other) {
    counters += other.counters;
    bytes += other.bytes;
    streams_opened += other.streams_opened;
    streams += other.streams;
    sessions += other.sessions;
    held += other.held;
    unknown_secrets += other.unknown_secrets;
    quarantined += other.quarantined;
    quarantined_fleet += other.quarantined_fleet;
    node_faults += other.node_faults;
    quarantined_total += other.quarantined_total;
    released_total += other.released_total;
    lags.insert(lags.end(), other.lags.begin(), other.lags.end());
    return *this;
  }
};

}  // namespace contour::xds
