// SPDX-License-Identifier: Apache-2.0
// Knows what one stream sent of one type, what of it the Envoy acked, and the responses that are in
// flight: those that the Envoy hasn't answered yet.
//
//   SentState sent(examined);
//   sent.Send({name, resource}, sequence, token);   // for each change of a response
//   sent.AddResponse(std::move(response));
//   …
//   const InFlight response = sent.TakeOldest();    // the Envoy answered it
//   for (const Change& change : response.changes) sent.Ack(change, response.sequence);
//
// A resource that the Envoy acked as it was sent only has its place in the table. While something
// else is known of it, it has a PendingResource. For the first content of a type not even that is
// kept for each resource (FirstContent).
//
// Thread: as a value.

#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "xds/session/messages.h"
#include "xds/session/tally.h"
#include "xds/snapshot/name_map.h"
#include "xds/snapshot/resource.h"
#include "xds/snapshot/shared_tables.h"
#include "xds/snapshot/snapshot.h"

namespace contour::xds {

// A change that a response brings.
struct Change {
  NamePtr name;
  ResourcePtr content;  // nullptr: withdrawn
};

// A response that the Envoy hasn't answered yet.
struct InFlight {
  std::string nonce;
  std::string version;
  std::uint64_t sequence = 0;   // its number among the responses of all streams of the session
  std::vector<Change> changes;  // by name
  Table table;                  // all that was sent so far, with the changes
  Time made;
  TimeMark unanswered;  // in SessionFigures::unanswered

  // Returns what the response brings under this name; nullptr: nothing.
  ResourcePtr Find(const std::string& name) const;
};

// A resource of which the Envoy may not have just what it was sent.
struct PendingResource {
  ResourcePtr acked;            // what the Envoy runs as far as known; nullptr: nothing
  std::uint64_t since = 0;      // older responses say nothing about this entry
  std::uint32_t in_flight = 0;  // responses in flight that carry the name
  ResourcePtr nacked;           // the last content that was
  // Nacked together with others since: of the neighbours of a bad resource Envoy may run some.
  std::vector<ResourcePtr> possibly_applied;
  bool overflow = false;  // there were too many of these to remember
};

// All of a table, sent in one response to an Envoy that had nothing of the type, while the Envoy
// hasn't answered and nothing else has happened to any of it. Only then a resource of the table has
// no PendingResource, and the response lists no changes.
struct FirstContent {
  std::uint64_t sequence = 0;  // of the response
  std::shared_ptr<const Table> table;
  SharedTables::List list;  // the same, by name
};

class SentState {
 public:
  // Counts the entries that it looks at in `examined`.
  explicit SentState(std::uint64_t& examined) : examined_(examined) {}

  // Returns what the Envoy has if it acks everything that is in flight.
  const Table& table() const { return table_; }
  ResourcePtr Find(const std::string& name) const { return table_.Find(name); }
  // Returns what the Envoy acked under this name; nullptr: nothing.
  ResourcePtr Acked(const std::string& name) const;
  // True if what was sent under this name was nacked since.
  bool IsNacked(const std::string& name) const;
  // True if nothing is known but what was sent and acked.
  bool settled() const { return in_flight_.empty() && pending_.empty(); }
  // True if nothing was sent yet, and the Envoy has nothing.
  bool pristine() const {
    return version_sent_.empty() && table_.empty() && settled() && !unrecognised_;
  }

  const NameMap<PendingResource>& pending() const { return pending_; }
  const std::deque<InFlight>& in_flight() const { return in_flight_; }
  const std::optional<FirstContent>& first() const { return first_; }
  // Returns the table of the response that was acked last.
  const Table& acked_table() const { return acked_table_; }
  // Returns what the Envoy runs as far as known.
  Table AckedResources() const;

  const std::string& version_sent() const { return version_sent_; }
  const std::string& version_acked() const { return version_acked_; }
  const std::string& last_nonce() const { return last_nonce_; }

  // Calls f(const ResourcePtr&) for each content that the Envoy runs, or may run, under this name.
  // Returns false if there may be further ones.
  template <typename Function>
  bool ForEachPossible(const std::string& name, Function&& f) const;
  // Calls f(const std::string& name) for each name of which something is known, some several times.
  template <typename Function>
  void ForEachName(Function&& f) const;

  // The Envoy has this from before. REQUIRES: nothing was sent.
  void Resume(Table table) { table_ = std::move(table); }
  void Resume(ResourcePtr resource, EditToken token);
  // The Envoy has a state from before that we don't know, until it acks ours.
  void SetUnrecognised() { unrecognised_ = true; }
  bool unrecognised() const { return unrecognised_; }

  // Sends all of a table to an Envoy that has nothing. AddResponse() follows.
  void SendFirst(FirstContent first);
  // Notes the first content name by name, since something happens to some of it.
  void SpellOut();
  // The change goes out in the response `sequence`; AddResponse() follows. Returns what was sent
  // under the name before.
  ResourcePtr Send(const Change& change, std::uint64_t sequence, EditToken token);
  // Makes equal content the snapshot's own, or that of others, so that it takes no memory here.
  void ShareTable(const Table& snapshot, SharedTables& shared);
  const InFlight& AddResponse(InFlight response);

  // Takes the oldest response in flight, which the Envoy has answered, explicitly or not.
  InFlight TakeOldest();
  // Takes what the response sent as first content; nullopt: it was another response.
  std::optional<FirstContent> TakeFirst(std::uint64_t sequence);
  // The Envoy acked the change. Returns false if more has happened to the name since.
  bool Ack(const Change& change, std::uint64_t sequence);
  // The Envoy nacked the response.
  void Nack(const Change& change, std::uint64_t sequence);
  // Nothing is known of what the Envoy made of the change.
  void Skip(const Change& change, std::uint64_t sequence);
  // The Envoy may run this: it was nacked together with others, or its name was unsubscribed and
  // subscribed again while it was in flight.
  void MarkPossiblyApplied(const Change& change);
  // The Envoy nacked the content, if that is what was sent last under this name.
  void MarkNacked(const std::string& name, const ResourcePtr& content);
  // The Envoy has what was sent last under this name, although it nacked the response.
  void MarkAcked(const std::string& name);
  void SetAcked(const InFlight& response);
  // The whole state was acked: also what came in responses that were nacked before. Returns the
  // names of which nothing more needs to be noted.
  std::vector<NamePtr> AckEverything();
  void Trim() { FreeIfEmpty(pending_); }

  // The Envoy drops the resource by itself.
  void Forget(const std::string& name);

 private:
  static constexpr std::size_t kMostPossiblyApplied = 16;

  std::uint64_t& examined_;
  Table table_;
  // `table_` may hold something of which only the version is known, so that it is like no other.
  bool holds_unknown_ = false;
  Table acked_table_;
  NameMap<PendingResource> pending_;
  std::optional<FirstContent> first_;
  std::deque<InFlight> in_flight_;
  std::string version_sent_;
  std::string version_acked_;
  std::string last_nonce_;
  bool unrecognised_ = false;
};

template <typename Function>
bool SentState::ForEachPossible(const std::string& name, Function&& f) const {
  bool complete = true;
  const ResourcePtr sent = table_.Find(name);
  if (sent != nullptr) f(sent);
  if (const auto at = pending_.find(name); at != pending_.end()) {
    const PendingResource& pending = at->second;
    if (pending.acked != nullptr && pending.acked != sent) f(pending.acked);
    for (const ResourcePtr& content : pending.possibly_applied) f(content);
    complete = !pending.overflow;
  }
  // A name that was unsubscribed meanwhile counts too: it may be again before this arrives.
  for (const InFlight& response : in_flight_) {
    if (const ResourcePtr content = response.Find(name); content != nullptr && content != sent)
      f(content);
  }
  return complete;
}

template <typename Function>
void SentState::ForEachName(Function&& f) const {
  table_.ForEach([&](const ResourcePtr& sent) { f(sent->name); });
  for (const auto& [name, pending] : pending_) f(*name);
  for (const InFlight& response : in_flight_) {
    for (const Change& change : response.changes) f(*change.name);
  }
}

}  // namespace contour::xds
