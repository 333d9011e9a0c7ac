// SPDX-License-Identifier: Apache-2.0
// Knows what follows from the NACKs for one type on one stream: the contents that aren't sent
// again, and the search for those that are at fault.
//
//   NackTracker nacks(type, protocol, sent, names, figures);
//   nacks.Begin(error_message, now);                        // a NACK came
//   const NackTracker::Suspicion suspicion = nacks.SuspectsOf(response, wanted);
//   if (!nacks.Search(response.sequence, suspicion, false)) // the Envoy rejects what it acked
//     names = nacks.MarkCulprits(nacks.GiveUp(), /*certain=*/false, wanted);
//   …
//   ResourcePtr content = nacks.WithoutRejected(wanted);    // what may be sent
//
// `wanted` is a function that returns what the Envoy is to have under a name in the end; nullptr:
// nothing. The functions return what has changed; whoever calls them looks at it again.
//
// A NACK that speaks of the Envoy's node (node_fault.h) starts no search. The Envoy is sent the
// content again after a while.
//
// Thread: as a value.

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/hash.h"
#include "xds/session/figures.h"
#include "xds/session/messages.h"
#include "xds/session/nack_bisection.h"
#include "xds/session/sent_state.h"
#include "xds/session/subscribed_names.h"
#include "xds/session/tally.h"
#include "xds/snapshot/resource.h"

namespace contour::xds {

// A content that the Envoy rejected. It isn't sent again until it changes.
struct RejectedContent {
  Hash128 version;
  std::string error_message;
  // Set for a part if the Envoy has no other part with its head, which may then be at fault as
  // well.
  std::optional<Hash128> head = std::nullopt;
  bool culprit = false;     // else given up with others
  bool confirmed = false;   // see NackBisection::Culprit
  bool reported = false;    // as a culprit
  bool node_fault = false;  // the error message speaks of the node; no culprit
};

class NackTracker {
 public:
  using Key = NackBisection::Key;
  using Suspects = NackBisection::Suspects;
  using Wanted = absl::FunctionRef<ResourcePtr(const std::string&)>;
  using RejectedParts = std::map<std::optional<std::string>, RejectedContent>;

  struct Suspicion {
    Suspects suspects;
    bool explained = false;  // the response also holds something that was rejected before
  };
  struct NodeFaults {
    struct Fault {
      std::string name;
      std::chrono::seconds wait;  // until it is to be sent again
      bool begins = false;
    };
    std::vector<Fault> faults;
    Suspects rest;  // the error message doesn't concern these
  };
  // Which culprits are reported.
  enum class Trust : std::uint8_t {
    kConfirmed,  // confirmed ones, of resources of which the Envoy runs something
    kAcked,      // all ones of such resources
    kAll
  };
  struct Report {
    std::string resource;
    std::optional<std::string> part;
    Hash128 version;
    std::string error_message;
  };

  // `sent` and `names` are those of the same type and stream.
  NackTracker(ResourceType type, Protocol protocol, const SentState& sent,
              const SubscribedNames& names, SessionFigures& figures)
      : type_(type),
        delta_(protocol == Protocol::kDelta),
        sent_(sent),
        names_(names),
        figures_(figures) {}

  // ---- What is rejected ----

  const std::map<std::string, RejectedParts>& rejected() const { return rejected_; }
  bool HasRejected(const std::string& name) const { return rejected_.contains(name); }
  // True if the content isn't sent to this Envoy until it changes or is sent again.
  bool IsRejected(const Key& key, const Hash128& version) const;
  // True if the Envoy runs an older content of a resource that it rejected.
  bool RunsOlder() const;
  // True if nothing was rejected, and nothing is searched for.
  bool quiet() const { return rejected_.empty() && node_faults_.empty() && !searching(); }
  // Returns the content with everything replaced, by what the Envoy runs, that it rejected or is
  // suspected of rejecting. nullptr: nothing is left.
  ResourcePtr WithoutRejected(const ResourcePtr& content) const;
  // Forgets the rejected contents of the resource that are no longer wanted.
  void ForgetOutdated(const std::string& name, Wanted wanted);
  // The resource is no longer subscribed.
  void Forget(const std::string& name);

  // ---- A response was nacked ----

  void Begin(const std::string& error_message, Time now);
  // The error message of the last NACK, and when it came. Empty: there was none.
  const std::string& error_message() const { return error_message_; }
  Time nacked_at() const { return nacked_at_; }

  // Returns what in the response differs from what the Envoy acked.
  Suspicion SuspectsOf(const InFlight& response, Wanted wanted) const;
  // Notes that a suspect came with a head of which the Envoy has nothing: then it is suspected only
  // together with this head.
  void NoteHead(const Key& key, const InFlight& response);
  // Goes on with the search. `useless`: the Envoy had acked all that the response held. Returns
  // false if there is nothing to find: the Envoy nacks whatever it is sent.
  bool Search(std::uint64_t sequence, const Suspicion& suspicion, bool useless);

  // Sets aside the suspects that the node couldn't take, until they are sent again: of a resource
  // of which the Envoy runs nothing the resource as a whole, so that a change of one part isn't
  // sent before.
  NodeFaults SetAsideNodeFaults(const InFlight& response, const Suspects& suspects);
  // Lets the resource be sent again that the node couldn't take. Returns false if there is nothing.
  bool Retry(const std::string& name);
  // The Envoy acked a content of the resource. Returns true if this ended a node fault.
  bool EndNodeFault(const std::string& name);

  // ---- A response was acked ----

  // Returns true if it was the control (see SetControl).
  bool Acked(const InFlight& response);
  void ContentAcked() { nacks_in_row_ = 0; }

  // ---- The search ----

  const NackBisection& bisection() const { return bisection_; }
  bool searching() const { return bisection_.active(); }
  // True if the next step is to be taken as soon as nothing is in flight.
  bool AwaitsStep() const { return bisection_.active() && !bisection_.testing(); }
  NackBisection::Step NextStep(Wanted wanted);
  std::vector<NackBisection::Culprit> TakeCulprits() { return bisection_.TakeCulprits(); }
  std::vector<NackBisection::Culprit> GiveUp() { return bisection_.GiveUp(); }
  // Forgets the heads of the suspects if the search is over.
  void ForgetHeadsIfOver();
  // True if the test is to be sent; SetTest() or SkipTest() follows.
  bool AwaitsTest() const { return bisection_.testing() && test_ == 0; }
  void SetTest(std::uint64_t sequence) { test_ = sequence; }
  void SkipTest() { bisection_.OnNothing(); }

  // Rejects the culprits that are still wanted from now on, and returns the names of their
  // resources. `certain`: they were found by the search; else they are given up with others.
  std::vector<std::string> MarkCulprits(std::vector<NackBisection::Culprit> culprits, bool certain,
                                        Wanted wanted);
  // True if some culprits weren't reported.
  bool HasUnreported() const;
  std::vector<Report> TakeReports(Trust trust);
  // Returns the name of something that the Envoy acked. If it is sent again (the control), its
  // answer shows whether it is good for anything. nullopt: there is nothing.
  std::optional<std::string> FindControl() const;
  void SetControl() { control_ = true; }

 private:
  struct NodeFaultCount {
    unsigned times = 0;  // in a row
    Share share;         // of SessionFigures::node_faults
  };

  bool whole() const { return !delta_ && Info(type_).whole; }
  ResourcePtr KnownAcked(const std::string& name) const;
  std::set<std::string> NamesIn(const InFlight& response) const;
  void AddSuspects(const ResourcePtr& content, Suspicion& suspicion) const;
  bool IsPresent(const Key& key, const Hash128& version, Wanted wanted) const;
  std::set<std::optional<std::string>> RejectedPartsOf(const Resource& content) const;

  const ResourceType type_;
  const bool delta_;
  const SentState& sent_;
  const SubscribedNames& names_;
  SessionFigures& figures_;
  std::map<std::string, RejectedParts> rejected_;      // by resource
  std::map<std::string, NodeFaultCount> node_faults_;  // by resource
  NackBisection bisection_;
  std::map<std::string, Hash128> heads_;  // with which its suspects came (see NoteHead)
  std::uint64_t test_ = 0;        // sequence of the response that is the search's test; 0: not yet
  std::size_t nacks_in_row_ = 0;  // without an ACK between them
  bool control_ = false;          // what was acked is being sent again
  std::string error_message_;
  Time nacked_at_;
};

}  // namespace contour::xds
