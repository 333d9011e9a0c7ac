// SPDX-License-Identifier: Apache-2.0
// Knows one Envoy across its streams, and the rules that connect its resources: what the
// Envoy is to have, what may be withdrawn, which clusters are warm, and who is to look at what
// again when something has changed.
//
//   EnvoyState envoy(identity, options, snapshot, memory);
//   StreamState& stream = envoy.AddStream(Protocol::kDelta);
//   envoy.Touch(stream, ResourceType::kCluster, name);       // look at it for the next response
//   ResourcePtr wanted = envoy.Wanted(stream, ResourceType::kCluster, "kuard");
//
// Its parts (Warming, ClusterReferences, the states of the streams, …) return what has changed in
// them; from that this class works out which names have to be looked at. It knows nothing of
// requests and responses: see stream.h.
//
// Files: envoy_state.cc streams, snapshots and time; envoy_resources.cc the rules about resources;
// envoy_nacks.cc what is reported about rejected contents.
//
// Thread: one at a time per session.

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "xds/session/cluster_references.h"
#include "xds/session/culprit.h"
#include "xds/session/figures.h"
#include "xds/session/hold_index.h"
#include "xds/session/messages.h"
#include "xds/session/nack_tracker.h"
#include "xds/session/previous_state.h"
#include "xds/session/session_options.h"
#include "xds/session/subscribers.h"
#include "xds/session/type_rules.h"
#include "xds/session/type_state.h"
#include "xds/session/views.h"
#include "xds/session/warming.h"
#include "xds/snapshot/name_map.h"
#include "xds/snapshot/resource.h"
#include "xds/snapshot/snapshot.h"

namespace contour::xds {

class EnvoyState {
 public:
  using Streams = std::map<std::uint64_t, std::unique_ptr<StreamState>>;

  static constexpr std::size_t kWithoutLimit = static_cast<std::size_t>(-1);

  EnvoyState(EnvoyIdentity identity, SessionOptions options, SnapshotPtr snapshot,
             std::shared_ptr<const Memory> memory);
  EnvoyState(const EnvoyState&) = delete;
  EnvoyState& operator=(const EnvoyState&) = delete;

  const EnvoyIdentity& identity() const { return identity_; }
  const SessionOptions& options() const { return options_; }
  const Snapshot& snapshot() const { return *snapshot_; }
  const SessionFigures& figures() const { return figures_; }
  SessionFigures& figures() { return figures_; }
  const Streams& streams() const { return streams_; }
  const Subscribers& subscribers() const { return subscribers_; }
  const Warming& warming() const { return warming_; }
  const PreviousState& previous() const { return previous_; }
  bool ignores_reports() const { return ignores_reports_; }

  // ---- Streams and their subscriptions ----

  StreamState& AddStream(Protocol protocol);
  // The stream ended; destroys its state.
  void RemoveStream(StreamState& stream, Time now);
  std::shared_ptr<const Memory> TakeMemory() { return previous_.Take(); }

  // An Envoy that had clusters before is going to subscribe to them again, if later than to the
  // rest. Called for each request; only the first one counts.
  void Begin(Time now);
  // The first request for the type came, and what the Envoy has is noted. `resuming`: it has
  // something from before.
  void Subscribed(StreamState& stream, ResourceType type, bool resuming, Time now);
  void AddName(StreamState& stream, ResourceType type, const std::string& name,
               EditToken token = kNoEdit);
  // Subscribes to all of the names. REQUIRES: the stream subscribes to none of the type yet.
  void AddNames(StreamState& stream, ResourceType type, const std::vector<std::string>& names);
  // Returns false if the name wasn't subscribed.
  bool RemoveName(StreamState& stream, ResourceType type, const std::string& name);
  void SetWildcard(StreamState& stream, ResourceType type, bool wildcard);
  // The resource is no longer subscribed: the Envoy drops it by itself.
  void Forget(StreamState& stream, ResourceType type, const std::string& name);
  // The Envoy named a state of the type that we don't know.
  void SetUnrecognised(StreamState& stream, ResourceType type);
  // The Envoy named assignments that it has from before.
  void EndpointsResumed(Time now);
  // Returns the resource that an Envoy names by this version when it subscribes.
  ResourcePtr Named(ResourceType type, const std::string& name, const Hash128& version) const;

  // ---- Snapshots and time ----

  void Offer(SnapshotPtr snapshot);
  // Takes in what differs in the snapshot offered last.
  void Refresh();
  // Takes in at most about `most` resources of it; false: there are more.
  bool RefreshSome(std::size_t most);
  // Does what is due by now.
  void Tick(Time now);
  std::optional<Time> NextDeadline() const;

  // The name is to be looked at when the next response is made. `force`: to be sent even if equal.
  void Touch(StreamState& stream, ResourceType type, const NamePtr& name, bool force = false);
  void Touch(StreamState& stream, ResourceType type, const std::string& name, bool force = false);
  // A response with the type may be due.
  void MarkReady(const StreamState& stream, ResourceType type) {
    MarkReady(stream, SendRank(type));
  }
  void MarkReady(const StreamState& stream, std::size_t rank) { ready_.emplace(rank, stream.id()); }
  bool ready() const { return !ready_.empty(); }
  // Returns the streams that may have something to send, in the order in which they should.
  std::vector<std::uint64_t> TakeReady();
  // Notes if the stream waits for something.
  void NoteWaits(StreamState& stream);

  // ---- What the Envoy is to have ----

  // Returns what the Envoy is to have under this name in the end; nullptr: nothing.
  ResourcePtr Wanted(const StreamState& stream, ResourceType type, const std::string& name) const;
  // True if nothing is published under this name, and nothing left out.
  bool IsLacking(ResourceType type, const std::string& name, const ResourcePtr& wanted) const;
  // True if something that the Envoy has and the snapshot lacks may be withdrawn (or emptied) now.
  // Otherwise the name is looked at again when that may have changed, so it must be asked last.
  bool MayWithdraw(ResourceType type, const std::string& name, Time now);

  // ---- Responses ----

  std::uint64_t NextSequence() { return ++sequence_; }
  // A response with this change is made. Notes what follows for other resources.
  void Sent(StreamState& stream, ResourceType type, const Change& change, std::uint64_t sequence,
            EditToken token);
  void FirstClustersSent(const Table& clusters, std::uint64_t sequence) {
    warming_.FirstClustersSent(clusters, sequence);
  }
  void FirstContentAcked(ResourceType type, const FirstContent& first, Time now);
  // The Envoy may run the change, and what it names has to stay.
  void MarkPossiblyApplied(StreamState& stream, ResourceType type, const Change& change);
  // The Envoy acked the change.
  void Acked(StreamState& stream, ResourceType type, const Change& change, std::uint64_t sequence,
             Time now);
  void ClusterAcked(const std::string& name, std::uint64_t sequence, Time now) {
    ApplyWarming(warming_.ClusterAcked(name, sequence, now));
  }
  // The Envoy acked a response with clusters.
  void ClustersAcked(std::uint64_t sequence, Time now);
  // Notes the first clusters one by one, since something happens to some of them.
  void SpellOutFirstClusters() { warming_.SpellOut(); }

  // Notes what the Envoy's content of this name refers to, beyond what the snapshot's does.
  void NoteReferences(const StreamState& stream, ResourceType type, const std::string& name);
  void NoteClusterReferences(const StreamState& stream, ResourceType type, const std::string& name);
  void NoteAssignments(const StreamState& stream, const std::string& cluster);

  // ---- Warm clusters ----

  // True if there is something to judge by: a CDS subscription, or an Envoy that is about to
  // subscribe again.
  bool JudgesWarmth(Time now) const;
  bool IsWarm(const std::string& cluster) const;
  // True if the resource has many parts and all clusters that they need are warm, as far as that
  // is known without a look at each.
  bool AllClustersAreWarmFor(const Resource& resource) const;
  // True likewise for all of the resources.
  bool AllClustersAreWarmFor(const Table& resources) const;
  // True if this Envoy is not going to have the cluster, since it, or another, NACKed its content.
  bool LacksCluster(const std::string& cluster) const;

  // ---- NACKs ----

  // Reports the culprits, since the Envoy acked something: what it rejected is at fault, not the
  // Envoy.
  void ReportCulprits(StreamState& stream, ResourceType type, NackTracker::Trust trust);
  // A response with content was acked. Where nothing is left of a type that the Envoy could ack,
  // another type has to do.
  void ContentAcked();
  bool content_acked() const { return content_acked_; }
  // The Envoy rejects what it acked: its culprits are none.
  void IgnoreReports();
  // Reports what was quarantined while the Envoy was acking it.
  void DisputeExclusions(ResourceType type);
  // Sends the resource again after a while.
  void RetryAt(Time time, const StreamState& stream, ResourceType type, const std::string& name);
  void ReportNodeFault(ResourceKey key, const std::string& error_message, bool ends);
  Opinion OpinionOn(const ResourceKey& key, const Hash128& version) const;

  // ---- Listeners ----

  // Looks again at everything that waits for the listeners once they are in sync.
  void NoteListenersInSync();
  // True if a response of this session changed a listener.
  bool listeners_changed() const { return listeners_changed_; }

 private:
  // Records how far the session has come on the way from one snapshot to the next.
  struct Refreshing {
    std::shared_ptr<const SnapshotDifference> difference;
    std::size_t type = 0;         // index of the next type
    std::size_t next = 0;         // and of its next change
    bool users_appeared = false;  // a type that names clusters had nothing, or has nothing now
  };
  // A resource that a node couldn't take.
  struct Retry {
    std::uint64_t stream;
    ResourceType type;
    std::string name;
  };

  const std::set<StreamState*>& Of(ResourceType type) const { return subscribers_.Of(type); }
  void Remember(const StreamState& stream, ResourceType type);
  void Linger(const StreamState& stream, ResourceType type, Time now);
  void StartRefreshing();
  void TakeInChange(const TypeInfo& info, const ResourcePtr& was, const ResourcePtr& is);
  void SecretChanged(const std::string& name, bool came, bool exists);
  void EndAwaits(Time now);
  void ResendEndpoints();
  Time WarmingShowsAt(Time now) const;
  ResourcePtr FindSecret(const std::string& name) const;
  bool Keeps(const StreamState& stream, const Exclusion& exclusion) const;
  ResourcePtr WithOwn(const StreamState& stream, const ResourcePtr& offered,
                      const std::vector<Exclusion>& exclusions) const;
  void TouchAssignment(const ResourcePtr& cluster, bool force);
  void ApplyWarming(const Warming::Changes& changes);
  bool AllClustersAreWarm() const;
  bool ListenersInSync() const;
  bool SeeListenersInSync();
  bool AwaitsUsers(Time now) const;
  bool ClusterUsesAssignment(std::string_view assignment) const;
  void NoteClusterReferencesOf(ResourceType type, const std::string& name);
  void NoteLingering(ResourceType type, const std::string& name);
  void ForgetReferences(const StreamState& stream);
  void ClustersEnded(const ClusterReferences::Ended& ended);
  void AssignmentsEnded(const ClusterReferences::Ended& ended);
  void RecheckBlocked();
  void RecheckBlocked(ResourceType type);
  void RecheckBlocked(ResourceType type, const std::string& name);
  void RecheckHeld();
  void RecheckHeld(const std::string& cluster);
  void TouchAll(const std::vector<HoldIndex::Key>& keys);
  GoodContent GoodOf(const Resource& acked, const ResourceKey& key) const;
  std::set<std::string> SecretsIn(std::string_view bytes) const;

  const EnvoyIdentity identity_;
  const SessionOptions options_;
  SnapshotPtr snapshot_;  // what the streams' pending names account for
  SnapshotPtr offered_;
  std::optional<Refreshing> refreshing_;
  bool had_scopes_;  // a snapshot of this session held scoped routes
  PreviousState previous_;
  LingeringStreams lingering_;
  std::uint64_t sequence_ = 0;  // of responses of all streams
  SessionFigures figures_;      // before the parts, which change it
  HoldIndex holds_;             // likewise
  Warming warming_;
  ClusterReferences references_;
  std::uint64_t stream_ids_ = 0;
  Streams streams_;
  Subscribers subscribers_;
  std::set<std::pair<std::size_t, std::uint64_t>> ready_;  // rank of its type, stream
  std::set<StreamState*> waiting_;                         // with something held or blocked
  bool listeners_in_sync_ = false;                         // when it was looked at last
  bool listeners_changed_ = false;
  bool begun_ = false;                  // something was requested
  std::optional<Time> resuming_until_;  // an Envoy that had a state before is still subscribing
  std::optional<Time> users_awaited_until_;
  std::optional<Time> resend_endpoints_at_;  // unless that happens before
  std::multimap<Time, Retry> retries_;
  bool ignores_reports_ = false;
  bool content_acked_ = false;  // of any type
};

}  // namespace contour::xds
