// SPDX-License-Identifier: Apache-2.0
// The xDS protocol, without gRPC, threads and clocks: what each stream of an Envoy is to be sent
// next. The same core for delta and state of the world, for ADS and for streams per type.
// https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol
//
//   Session session({.node_id = "envoy-1", .aggregated = true}, options, snapshot);
//   Stream& stream = session.Attach(Protocol::kDelta);
//   CONTOUR_RETURN_IF_ERROR(stream.OnRequest(request, now));
//   session.Offer(newer_snapshot);                     // overwrites: intermediate ones are skipped
//   for (Stream* ready : session.TakeReady(now))       // whenever something happened
//     if (sink(ready).CanWrite())
//       if (std::optional<Response> response = ready->Next(now)) sink(ready).Write(*response);
//
// What is promised
// - Nothing changed, nothing sent. Exceptions: a subscription is answered (a first wildcard also
// when empty), and the
//   assignment of a new or changed cluster is sent again, since Envoy doesn't ask for it again but
//   waits for it.
// - Order: clusters, endpoints, secrets, listeners, routes. EDS never waits for a CDS
// acknowledgement: Envoy
//   withholds these while any cluster warms.
// - A virtual host (part) waits until the clusters that it newly needs are warm on this Envoy;
// until then its previous
//   content (or absence) stays in the route configuration. Only this part waits, and at most
//   `warm_timeout`. Where the previous content isn't known (a state from before our start), the
//   resource waits as a whole.
// - A new cluster whose assignment holds no endpoint counts as cold for `empty_wait` more: Services
//   and their endpoints come by different watches, and a host that answers 503 for the moment
//   between is worse than one that comes a moment later.
// - A secret is served under its name in any case: Envoy may ask by the server name of a client. Of
//   delta streams names that nobody serves are answered, and remembered up to a bound (SecretSubscriptions).
//   "*" is such a name, too: there is no wildcard of secrets but an empty list.
// - A cluster is withdrawn when nothing that this Envoy acknowledged, was sent or may have applied
// names it. Its
//   assignment stays as it was so long, and until a content of the cluster that takes its endpoints
//   from another one is acked; one that a cluster of the snapshot names becomes empty instead of
//   being removed.
// - Route configurations and secrets are withdrawn after the listeners that may use them.
// - A rejected content isn't sent again until it changes; everything else of the response is, and
// what was at fault is found by the way (see nack_bisection.h). Until then, and after it, the
// content that the Envoy acknowledged last stays in its place.
// - A culprit is reported (Options::on_culprit) once the Envoy accepted the rest without it. An
// Envoy that rejects what it accepted before isn't believed.
// - A NACK that speaks of the Envoy's node (node_fault.h) starts no search and isn't reported as a
// culprit. The Envoy keeps what it runs of the resource, or goes without it, and is sent it again
// after kNodeFaultWait, then after longer waits.
// - What the snapshot excludes (Snapshot::exclusions) is never taken from an Envoy that runs it.
//
// Warm: see WarmBy in resource.h. In ADS order follows from the order of responses. Streams per
// type race with each other: there a cluster is warm when it is acknowledged *and* its assignment,
// asked for after the cluster was sent, is.
//
// Session: one Envoy. An ADS stream is a session of its own; streams per type share the session of
// their node id *and* connection (the caller's key), so that two Envoys with the same id, or
// without one, never mix. A new connection is a new session. It knows the Envoy's state as far as
// the Envoy names it (delta: initial_resource_versions; state of the world: the version) and its
// content is in the snapshot or remembered from the session before (Memory).
//
// Known limits. A state of the world from before our start that isn't that of the snapshot, nor of
// the one that the process before us served (Memory), can't be kept: clusters that it has and the
// snapshot lacks go at once, and their routes answer 503 until ours are sent. Streams per type that
// break between a new cluster and its assignment: the cluster, or one that shares the assignment,
// may be taken for warm too early; so may, on streams per type, a cluster that shares the
// assignment that another one leaves. A client that has no cluster subscription is told everything
// at once.
//
// Space: what many Envoys have alike is kept once (SharedTables), and of the first content of a
// type nothing is noted for each resource (FirstContent). Else per stream what deviates from what
// it was told, and one response under way per type, of clusters up to kClusterResponses. Work:
// follows what changes, see examined().
//
// Thread: one at a time per session.

#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/strings.h"
#include "xds/session/culprit.h"
#include "xds/session/hold_index.h"
#include "xds/session/nack_bisection.h"
#include "xds/session/reference_counts.h"
#include "xds/session/secret_subscriptions.h"
#include "xds/session/tally.h"
#include "xds/session/views.h"
#include "xds/session/warming.h"
#include "xds/snapshot/name_map.h"
#include "xds/snapshot/name_set.h"
#include "xds/snapshot/resource.h"
#include "xds/snapshot/shared_tables.h"
#include "xds/snapshot/snapshot.h"

namespace contour::xds {

using Time = std::chrono::steady_clock::time_point;

enum class Protocol : std::uint8_t { kStateOfTheWorld, kDelta };

// A DiscoveryRequest or DeltaDiscoveryRequest.
struct Request {
  std::string type_url;
  std::string nonce;                 // response_nonce; empty: answers no response
  std::optional<std::string> error;  // error_detail.message: the response of `nonce` was rejected
  // State of the world.
  std::string version;
  std::vector<std::string> names;
  // Delta.
  std::vector<std::string> subscribe;
  std::vector<std::string> unsubscribe;
  std::vector<std::pair<std::string, std::string>> initial_versions;  // name, version
};

// A DiscoveryResponse or DeltaDiscoveryResponse.
struct Response {
  Protocol protocol = Protocol::kDelta;
  ResourceType type = ResourceType::kCluster;
  std::string unknown_type_url;  // of an answer about a type that isn't served; else empty
  std::string version;           // version_info, system_version_info
  std::string nonce;
  std::vector<ResourcePtr> resources;  // sorted by name
  std::vector<std::string> removed;    // delta; sorted
};

// What is remembered of an Envoy after its session ended, for the session that follows: every table
// that it was told and may have accepted. It is believed only where the Envoy names the same
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

class Session;

// One gRPC stream: its subscriptions and what it was told. Made and owned by a Session.
class Stream {
 public:
  // Responses with clusters that may be unacknowledged at once; of other types it is one.
  static constexpr std::size_t kClusterResponses = 32;
  static constexpr std::size_t kUnknownTypes = 16;
  // Names that one response is about, except one that must hold everything: of more the next ones
  // are.
  static constexpr std::size_t kNamesAtOnce = 2000;
  static constexpr std::size_t kWithoutLimit = std::numeric_limits<std::size_t>::max();

  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // A type that isn't served: on an ADS stream the answer says that nothing of it exists, so that
  // the Envoy's other types go on. kInvalidArgument, which ends the stream, on a stream per type
  // and beyond kUnknownTypes.
  absl::Status OnRequest(const Request& request, Time now);

  // Returns what to write now; nullopt: nothing. Call it when the previous response is written. It
  // stops with nullopt after having looked at about `most` names; then unfinished() is true, and it
  // must be called again before any other method of the session is, except Detach and the views.
  std::optional<Response> Next(Time now, std::size_t most = kWithoutLimit);
  bool unfinished() const { return unfinished_; }

 private:
  friend class Session;
  friend class SessionViewer;

  // What the Envoy makes of a name while that isn't simply what it was told.
  struct Irregular {
    ResourcePtr acknowledged;     // what it runs as far as known; nullptr: nothing
    std::uint64_t since = 0;      // older responses tell nothing about this entry
    std::uint32_t in_flight = 0;  // responses that carry the name
    ResourcePtr rejected;         // the last content that was
    // Rejected together with others since: of the neighbours of a bad resource Envoy may run some.
    std::vector<ResourcePtr> perhaps;
    bool lost = false;  // too many to remember
  };
  // A content that the Envoy doesn't take.
  struct Refusal {
    Hash128 version;
    std::string error_message;
    // Of a part of which the Envoy has no other with its head: that may be at fault as well.
    std::optional<Hash128> head = std::nullopt;
    bool culprit = false;     // else given up with others
    bool confirmed = false;   // see NackBisection::Culprit
    bool told_on = false;     // see Session::Options::on_culprit
    bool node_fault = false;  // the words speak of the node; no culprit
  };
  using Refusals = std::map<std::optional<std::string>, Refusal>;  // by part
  // A resource of which something waits for clusters.
  struct Hold {
    std::map<std::string, Time> since;  // by part; "": the resource as a whole
    std::optional<Time> earliest;       // of those of `since` that a time-out releases
    StringSet waiting_for;              // clusters
    bool force = false;
    Share share;  // of Session::held_parts_
  };
  struct RefusedByNode {
    unsigned times = 0;  // in a row
    Share share;         // of Session::node_faults_
  };
  struct Change {
    NamePtr name;
    ResourcePtr told;  // nullptr: withdrawn
  };
  // A name to be looked at; `force`: to be sent even if equal.
  struct Dirty {
    NamePtr name;
    bool force = false;
  };
  // A response that is being made: its names are looked at one by one.
  struct Making {
    std::vector<Dirty> names;     // sorted
    std::size_t next = 0;         // of these
    std::vector<Change> changes;  // by name
    std::size_t released = 0;
    bool stalled = false;
    std::uint64_t sequence = 0;  // of the response; 0: not all names have been looked at
    EditToken token = kNoEdit;
    std::size_t told = 0;  // of the changes
  };
  struct InFlight {
    std::string nonce;
    std::string version;
    std::uint64_t sequence = 0;
    std::vector<Change> changes;
    Table told;  // with the changes
    Time sent;
    TimeMark unanswered;  // in Session::unanswered_

    // Returns what the response brings under this name; nullptr: nothing.
    ResourcePtr Find(const std::string& name) const;
  };
  // All of a table, sent in one response to an Envoy that had nothing of the type, while the Envoy
  // hasn't answered and nothing else has happened to any of it. Only then a resource of the table
  // has no entry in State::irregular, and the response lists no changes (see SpellOut).
  struct FirstContent {
    std::uint64_t sequence = 0;  // of the response
    std::shared_ptr<const Table> table;
    SharedTables::List list;
  };
  struct State {
    bool subscribed = false;
    bool wildcard = false;
    NameSet names;  // subscribed by name
    // The session's sequence when the name was subscribed; of assignments in streams per type only.
    StringMap<std::uint64_t> asked;
    Table told;  // what the Envoy has if it accepts everything
    // `told` may hold something of which only the version is known, so that it is like no other.
    bool unknown_told = false;
    Table accepted;  // `told` of the response that was acknowledged last
    NameMap<Irregular> irregular;
    std::optional<FirstContent> first;
    SecretSubscriptions secrets;  // of secrets, delta
    StringSet turned_away;  // of secrets: names that were not remembered and wait for an answer
    StringSet missed;       // state of the world: subscribed names that a stale request didn't name
    NameMap<bool> dirty;    // to be looked at; true: to be sent even if equal
    // Holds the names whose turn comes with later responses, where very many were dirty, in the
    // falling order of their hashes: then the changes of one response are neighbours in `told`.
    std::vector<std::pair<std::uint64_t, Dirty>> later;
    bool all = false;           // everything is to be looked at
    bool all_names = false;     // `names` are to be looked at, and to be sent even if equal
    bool answer = false;        // even with nothing to say
    bool resend = false;        // the answer holds everything
    bool stalled = false;       // what is dirty waits until something is touched
    bool unrecognised = false;  // state of the world from before, until it acks ours
    std::optional<Making> making;
    std::map<std::string, Hold> held;
    std::map<std::string, bool> blocked;  // withdrawals that wait
    std::deque<InFlight> in_flight;
    NackBisection search;
    std::map<std::string, Hash128> heads;  // with which its suspects came (see NoteHead)
    std::uint64_t test = 0;  // sequence of the response that is the search's test; 0: not yet
    std::size_t rejections_in_row = 0;        // without an acceptance between them
    bool control = false;                     // what was accepted is being sent again (see Control)
    std::map<std::string, Refusals> refused;  // by resource
    std::map<std::string, RefusedByNode> node_faults;  // by resource
    std::string version_sent;
    std::string version_acknowledged;
    std::string error_message;  // of the last rejection
    Time rejected_at;
    std::string last_nonce;
    bool uses_nonces = false;
  };
  struct Judgement {
    ResourcePtr view;     // nullptr: the resource waits as a whole
    bool absent = false;  // none of its parts may be told, and Envoy refuses it without
    std::size_t released = 0;
  };

  Stream(Session& session, std::uint64_t id, Protocol protocol);

  State& state(ResourceType type) { return states_[Index(type)]; }
  const State& state(ResourceType type) const { return states_[Index(type)]; }
  bool delta() const { return protocol_ == Protocol::kDelta; }

  absl::Status OnUnknownType(const Request& request);
  std::optional<Response> AnswerUnknownType();
  void OnStateOfTheWorld(ResourceType type, const Request& request, Time now);
  void OnDelta(ResourceType type, const Request& request, Time now);
  void NoteMissed(ResourceType type, const Request& request);
  void FirstStateOfTheWorld(ResourceType type, const Request& request, Time now);
  void FirstDelta(ResourceType type, const Request& request, Time now);
  void AddName(ResourceType type, const std::string& name, EditToken token = kNoEdit);
  void AddNames(ResourceType type, const std::vector<std::string>& names);
  bool NotesWhenAsked(ResourceType type) const;
  bool RemoveName(ResourceType type, const std::string& name);
  void Forget(ResourceType type, const std::string& name);
  void KeepOnlyNames(ResourceType type);

  bool Resolve(ResourceType type, const Request& request, Time now);
  void Accept(ResourceType type, const InFlight& response, Time now);
  void Reject(ResourceType type, const InFlight& response, const std::string& words, Time now);
  void AcceptChange(ResourceType type, const Change& change, std::uint64_t sequence, Time now);

  void MayRun(ResourceType type, const Change& change);

  ResourcePtr Runs(ResourceType type, const std::string& name) const;
  bool Rejected(ResourceType type, const std::string& name) const;
  void NoteHead(ResourceType type, const NackBisection::Key& key, const InFlight& response);
  NackBisection::Items Suspects(ResourceType type, const InFlight& response, bool& explained) const;
  ResourcePtr WithoutRefused(ResourceType type, const ResourcePtr& wanted) const;
  NackBisection::Items SetAsideNodeFaults(ResourceType type, const InFlight& response,
                                          const NackBisection::Items& suspects,
                                          const std::string& words, Time now);
  void RetryNodeFault(ResourceType type, const std::string& name);
  void EndNodeFault(ResourceType type, const std::string& name);
  bool IsRefused(ResourceType type, const NackBisection::Key& key, const Hash128& version) const;
  bool Keeps(const Exclusion& exclusion) const;
  ResourcePtr WithOwn(const ResourcePtr& offered, const std::vector<Exclusion>& exclusions) const;
  void ForgetRefusals(ResourceType type, const std::string& name);
  void NextTest(ResourceType type);
  bool Control(ResourceType type);
  void Convict(ResourceType type, std::vector<NackBisection::Culprit> culprits, bool culprit);
  enum class Trust : std::uint8_t {
    kConfirmed,  // of those that are, of resources that it has something of
    kAccepted,   // of all of such resources
    kAll
  };
  void TellOn(ResourceType type, Trust trust);

  std::optional<Response> Make(ResourceType type, Time now);
  std::optional<Response> MakeOne(ResourceType type, Time now);
  bool Spend();
  std::shared_ptr<const Table> FirstTable(ResourceType type) const;
  std::optional<Response> MakeFirst(ResourceType type, Time now);
  void AcceptFirst(ResourceType type, const FirstContent& first, Time now);
  void SpellOut(ResourceType type);
  bool ResumesWithAll(ResourceType type, const Request& request) const;
  void ResumeEach(ResourceType type, const Request& request);
  bool BeginMaking(ResourceType type);
  std::vector<Dirty> TakeDirty(ResourceType type);
  bool LookAtNames(ResourceType type, Time now);
  void Decide(ResourceType type, const NamePtr& named, bool& force, Making& making, Time now);
  bool InOneResponse(ResourceType type) const;
  Response Build(ResourceType type, Making making, Time now);
  ResourcePtr Wanted(ResourceType type, const std::string& name) const;
  Judgement Judge(ResourceType type, const std::string& name, const ResourcePtr& wanted, bool force,
                  Time now);
  void Tell(ResourceType type, const Change& change, std::uint64_t sequence, EditToken token);
  void Touch(ResourceType type, const NamePtr& name, bool force = false);
  void Touch(ResourceType type, const std::string& name, bool force = false);
  bool MayWithdraw(ResourceType type, const std::string& name, Time now) const;
  void PutHold(ResourceType type, const std::string& name, Hold hold);
  void DropHold(ResourceType type, const std::string& name);
  HoldIndex::Wait WaitOf(const Hold& hold) const;
  void UpdateWatch();

  Session& session_;
  const std::uint64_t id_;
  const Protocol protocol_;
  std::uint64_t nonces_ = 0;
  std::size_t allowance_ = kWithoutLimit;  // names that this call of Next may still look at
  bool unfinished_ = false;
  std::array<State, kResourceTypes> states_;
  std::set<std::string> unknown_types_;  // URLs that were asked for
  // URL and names that are to be answered.
  std::deque<std::pair<std::string, std::vector<std::string>>> unknown_asked_;
};

// One Envoy: the streams that it has open, and what must be known across them.
class Session {
 public:
  struct Identity {
    std::string node_id;
    std::string peer;
    bool aggregated = true;  // one ADS stream; else streams per type
  };
  struct Options {
    // How long a part waits for cold clusters; also how long a reconnecting Envoy's other
    // subscriptions are awaited.
    std::chrono::milliseconds warm_timeout{5000};
    std::function<void(const Rejection&)> on_rejection;  // may be empty; called within OnRequest
    // How long a new cluster without endpoints is taken for cold: they may be on their way.
    std::chrono::milliseconds empty_wait{250};
    // About quarantined contents; called within OnRequest, Next and TakeReady; may be empty.
    std::function<void(Culprit)> on_culprit;  // the Envoy took the rest without it
    std::function<void(const ResourceKey&, const Hash128&)> on_dispute;  // the Envoy runs it
    // Shared by the sessions of one thread; nullptr: each finds the differences for itself.
    std::shared_ptr<DifferenceCache> differences = nullptr;
    // Shared by the sessions of all threads; not null.
    std::shared_ptr<SharedTables> shared = std::make_shared<SharedTables>();
    // Shared by the sessions of one thread; not null.
    std::shared_ptr<Recent> recent = std::make_shared<Recent>();
    std::function<void()> on_distrust;  // it refuses what it accepted: its culprits are none
    // The first request for a type that isn't served, on an ADS stream; may be empty.
    std::function<void(const std::string& type_url)> on_unknown_type;
    // A resource that the Envoy can't take because of its node: once when that begins, and when it
    // takes it. Called within OnRequest; may be empty.
    std::function<void(const NodeFault&)> on_node_fault;
  };

  // `snapshot` isn't null. `memory`: of the Envoy's session before, if any.
  Session(Identity identity, Options options, SnapshotPtr snapshot,
          std::shared_ptr<const Memory> memory = nullptr);
  ~Session();

  // REQUIRES of an aggregated session: no other stream.
  Stream& Attach(Protocol protocol);
  // The stream ended; destroys it.
  void Detach(Stream& stream, Time now);
  bool empty() const { return streams_.empty(); }
  // What to remember. REQUIRES: empty().
  std::shared_ptr<const Memory> TakeMemory();

  void Offer(SnapshotPtr snapshot);  // not null; the newest wins
  // Takes in what differs in the snapshot offered last, at most about `most` resources of it;
  // false: there are more. What is left is taken in by the next call of TakeReady, OnRequest or
  // Next.
  bool RefreshSome(std::size_t most);

  // Streams for which Next() may have something, in the order in which they should be written. Each
  // is named once per event: one that can't write now must be asked again (Next) when it can.
  std::vector<Stream*> TakeReady(Time now);

  // When TakeReady() should be called although nothing happened.
  std::optional<Time> NextDeadline() const;

  const Identity& identity() const { return identity_; }
  const Counters& counters() const { return counters_; }
  // These cost nothing: they are kept up as the session goes on.
  std::size_t Held() const { return held_parts_; }
  // Secrets that are subscribed and that nobody serves.
  std::size_t UnknownSecrets() const { return unknown_secrets_; }
  // Resources that it can't take because of its node.
  std::size_t NodeFaults() const { return node_faults_; }
  // When the oldest response was made that the Envoy hasn't answered yet.
  std::optional<Time> OldestUnanswered() const { return unanswered_.Earliest(); }
  // How many names, parts, clusters and other entries of tables were looked at since the start: a
  // measure of the work, which must follow what changes.
  std::uint64_t examined() const { return examined_; }

  // The views are in session_view.cc. Memory: what is shown, at most `most` entries, held and
  // refused ones. Time: with `all` what the Envoy has, else what deviates.
  SessionView View(Time now, const ViewFilter& filter = ViewFilter::Everything(),
                   std::size_t most = ViewFilter::kEverything) const;
  // nullopt: the Envoy neither has nor awaits it.
  std::optional<LedgerEntry> Entry(ResourceType type, const std::string& name) const;
  Opinion OpinionOn(const ResourceKey& item, const Hash128& version) const;

 private:
  friend class Stream;
  friend class SessionViewer;

  // What a stream per type that ended had been told: the Envoy goes on running it until it asks
  // again.
  struct Ghost {
    Time expires;
    ResourceType type;
    ResourcePtr resource;
  };
  using GhostName = std::pair<ResourceType, std::string>;

  // Records how far the session has come on the way from one snapshot to the next.
  struct Refreshing {
    std::shared_ptr<const SnapshotDifference> difference;
    std::size_t type = 0;         // index of the next type
    std::size_t next = 0;         // and of its next change
    bool users_appeared = false;  // a type that names clusters had nothing, or has nothing now
  };

  void Refresh();
  void TakeInChange(const TypeInfo& info, const ResourcePtr& was, const ResourcePtr& is);
  void SecretChanged(const std::string& name, bool came, bool exists);
  ResourcePtr FindSecret(const std::string& name) const;
  void Tick(Time now);

  template <typename Function>
  void ForEachSubscriber(ResourceType type, std::string_view name, Function&& f) const;
  std::vector<const Stream*> SubscribersOf(ResourceType type, std::string_view name) const;
  void AddSubscriber(ResourceType type, const std::string& name, Stream& stream);
  void RemoveSubscriber(ResourceType type, const std::string& name, Stream& stream);
  void SetWildcard(ResourceType type, Stream& stream, bool wildcard);
  void Subscribed(ResourceType type, Stream& stream, bool resuming, Time now);

  bool JudgesWarmth(Time now) const;
  bool IsWarm(const std::string& cluster) const;
  bool AllClustersAreWarm() const;
  bool AllClustersAreWarmFor(const Resource& resource) const;
  bool AllClustersAreWarmFor(const Table& resources) const;
  void ClusterSent(const ResourcePtr& cluster, const ResourcePtr& was, std::uint64_t sequence);
  void ClusterWithdrawn(const std::string& name, const ResourcePtr& was);
  void ApplyWarming(const Warming::Changes& changes);
  void AddGhost(Time expires, ResourceType type, const ResourcePtr& resource);
  void RemoveGhost(std::map<std::uint64_t, Ghost>::iterator ghost);
  void RemoveGhosts(ResourceType type, const Stream& stream);

  void Remember(const Stream& stream, ResourceType type);
  ResourcePtr Recall(ResourceType type, const std::string& name, const Hash128& version) const;
  const Table* Recall(ResourceType type, std::string_view version) const;
  ResourcePtr Named(ResourceType type, const std::string& name, const Hash128& version) const;
  void Begin(Time now);
  void EndpointsResumed(Time now);
  Time WarmingShowsAt(Time now) const;

  bool ListenersInSync() const;
  bool SeeListenersInSync();
  void NoteListenersInSync();
  bool AwaitsUsers(Time now) const;
  void NoteUses(ResourceType type, const std::string& name, const Stream* stream);
  void NoteUsesOf(ResourceType type, const std::string& name);
  void CollectFrom(const Stream& stream, ResourceType type, const std::string& name,
                   ReferenceCounts::References& uses) const;
  void ForgetUses(const Stream& stream);
  void CollectView(ResourceType type, const ResourcePtr& view,
                   ReferenceCounts::References& uses) const;
  void NoteHeld(ResourceType type, const std::string& name, const Stream& stream);
  void NoteRetained(const std::string& cluster, const Stream& stream);
  void SetRetained(const std::string& cluster, const Stream& stream,
                   ReferenceCounts::References assignments);
  bool RetainedClusterUses(std::string_view assignment) const;
  void RecheckBlocked();
  void RecheckBlocked(ResourceType type);
  void RecheckBlocked(ResourceType type, const std::string& name);
  void RecheckHeld();
  void RecheckHeld(const std::string& cluster);
  void Touch(const std::vector<HoldIndex::Key>& keys);

  bool LacksCluster(const std::string& cluster) const;
  GoodContent GoodOf(const Resource& runs, const ResourceKey& item) const;
  void Distrust();
  void ContentAccepted();
  void DisputeExclusions(ResourceType type);
  void ReportNodeFault(ResourceKey item, const std::string& words, bool ends);

  const Identity identity_;
  const Options options_;
  SnapshotPtr snapshot_;  // what the streams' `dirty` account for
  SnapshotPtr offered_;
  std::optional<Refreshing> refreshing_;
  const std::shared_ptr<const Memory> memory_;  // may be null
  bool had_scopes_;                             // a snapshot of this session held scoped routes
  Memory leaving_;                              // of the streams that ended
  std::uint64_t sequence_ = 0;                  // of responses of all streams
  std::size_t held_parts_ = 0;                  // sums over the streams, which change them
  std::size_t unknown_secrets_ = 0;
  std::size_t node_faults_ = 0;
  Times unanswered_;
  std::uint64_t stream_ids_ = 0;
  std::map<std::uint64_t, std::unique_ptr<Stream>> streams_;
  std::array<std::set<Stream*>, kResourceTypes> subscribed_;
  std::array<std::set<Stream*>, kResourceTypes> wildcards_;           // not of aggregated sessions
  std::array<StringMap<std::set<Stream*>>, kResourceTypes> by_name_;  // not of aggregated sessions
  std::set<std::pair<std::size_t, std::uint64_t>> ready_;             // rank of its type, stream
  std::set<Stream*> watched_;  // with something held or blocked
  HoldIndex holds_;
  // Clusters named by what the Envoy runs, or may run, other than the snapshot has it.
  ReferenceCounts cluster_uses_;
  // Assignments of clusters that the Envoy has, or may have, other than the snapshot has them.
  ReferenceCounts retained_;
  bool listeners_in_sync_ = false;  // when it was looked at last
  mutable std::uint64_t examined_ = 0;
  std::optional<Time> resuming_until_;  // an Envoy that had a state before is still subscribing
  std::optional<Time> users_awaited_until_;
  bool begun_ = false;                       // something was requested
  bool listeners_changed_ = false;           // by a response of this session
  std::optional<Time> resend_endpoints_at_;  // unless that happens before
  Warming warming_;
  std::map<std::uint64_t, Ghost> ghosts_;  // by a number, in the order in which they expire
  std::uint64_t ghost_numbers_ = 0;
  std::multimap<GhostName, std::uint64_t> ghosts_by_name_;
  struct Retry {
    std::uint64_t stream;
    ResourceType type;
    std::string name;
  };
  std::multimap<Time, Retry> retries_;  // of resources that a node couldn't take
  bool distrusted_ = false;
  bool content_accepted_ = false;  // of any type
  Counters counters_;
};

}  // namespace contour::xds
