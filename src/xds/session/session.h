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
// Its promises:
//
// - If nothing changed, nothing is sent, with two exceptions. A subscription is answered, a first
//   wildcard also when there is nothing. The assignment of a new or changed cluster is sent again,
//   since Envoy doesn't ask for it again but waits for it.
// - The order is: clusters, endpoints, secrets, listeners, routes. EDS never waits for a CDS ACK:
//   Envoy withholds these while any cluster warms.
// - A virtual host (a part) waits until the clusters that it newly needs are warm on this Envoy;
//   until then its previous content (or absence) stays in the route configuration. Only this part
//   waits, and at most `warm_timeout`. Where the previous content isn't known (a state from before
//   our start), the resource waits as a whole.
// - A new cluster whose assignment holds no endpoint isn't taken for warm for `empty_wait` more:
//   Services and their endpoints come by different watches, and a host that answers 503 for the
//   moment between is worse than one that comes a moment later.
// - A secret is served under its name in any case: Envoy may ask by the server name of a client. On
//   delta streams names that nobody serves are answered, and remembered up to a bound
//   (SecretSubscriptions). "*" is such a name, too: only an empty list is a wildcard of secrets.
// - A cluster is withdrawn when nothing names it that this Envoy acked, was sent or may have
//   applied. Its assignment stays as it was so long, and until a content of the cluster that takes
//   its endpoints from another one is acked. An assignment that a cluster of the snapshot names
//   becomes empty instead of being removed.
// - Route configurations and secrets are withdrawn after the listeners that may use them.
// - A rejected content isn't sent again until it changes. Everything else of the NACKed response is
//   sent, and by that the content at fault is found (see nack_bisection.h). Until then, and after
//   it, the content that the Envoy acked last stays in its place.
// - A culprit is reported (Options::on_culprit) once the Envoy acked the rest without it. The
//   reports of an Envoy that rejects what it acked before don't count.
// - A NACK that speaks of the Envoy's node (node_fault.h) starts no search and isn't reported as a
//   culprit. The Envoy keeps what it runs of the resource, or goes without it, and is sent it again
//   after five seconds, then after longer waits.
// - What the snapshot excludes (Snapshot::exclusions) is never taken from an Envoy that runs it.
//
// Which clusters are warm is judged by warming.h.
//
// A session is one Envoy. An ADS stream is a session of its own; streams per type share the session
// of their node id *and* connection (the caller's key), so that two Envoys with the same id, or
// without one, never mix. A new connection is a new session. It knows the Envoy's state as far as
// the Envoy names it (delta: initial_resource_versions; state of the world: the version) and its
// content is in the snapshot or remembered from the session before (previous_state.h).
//
// Known limits
// - A state of the world from before our start that isn't that of the snapshot, nor of the one that
//   the process before us served, can't be kept: clusters that it has and the snapshot lacks go at
//   once, and their routes answer 503 until ours are sent.
// - If streams per type break between a new cluster and its assignment, the cluster, or one that
//   shares the assignment, may be taken for warm too early. So may, on streams per type, a cluster
//   that shares the assignment that another one leaves.
// - A client that has no cluster subscription is sent everything at once.
//
// Space: what many Envoys have alike is kept once (SharedTables), and of the first content of a
// type nothing is noted for each resource (FirstContent). Besides this a stream keeps what deviates
// from what was sent, and one response in flight per type, of clusters up to kClusterResponses.
// Work: it follows what changes, see examined().
//
// The parts: envoy_state.h knows what the Envoy is to have and what depends on what; stream.h makes
// of it requests and responses. Their data lie in small classes, which never call them but return
// what has changed: type_state.h (one type on one stream: subscribed_names.h, sent_state.h,
// pending_names.h, waiting_resources.h, nack_tracker.h) and, across the streams, warming.h,
// cluster_references.h and previous_state.h.
//
// Thread: one at a time per session.

#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/hash.h"
#include "xds/session/culprit.h"
#include "xds/session/messages.h"
#include "xds/session/previous_state.h"
#include "xds/session/session_options.h"
#include "xds/session/stream.h"
#include "xds/session/views.h"
#include "xds/snapshot/resource.h"
#include "xds/snapshot/snapshot.h"

namespace contour::xds {

class EnvoyState;

// One Envoy: the streams that it has open, and what must be known across them.
class Session {
 public:
  using Identity = EnvoyIdentity;
  using Options = SessionOptions;

  // `snapshot` isn't null. `memory`: of the Envoy's session before, if any.
  Session(Identity identity, Options options, SnapshotPtr snapshot,
          std::shared_ptr<const Memory> memory = nullptr);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // REQUIRES of an aggregated session: no other stream.
  Stream& Attach(Protocol protocol);
  // The stream ended; destroys it.
  void Detach(Stream& stream, Time now);
  bool empty() const { return streams_.empty(); }
  // Returns what to remember. REQUIRES: empty().
  std::shared_ptr<const Memory> TakeMemory();

  void Offer(SnapshotPtr snapshot);  // not null; the newest wins
  // Takes in what differs in the snapshot offered last, at most about `most` resources of it;
  // false: there are more. What is left is taken in by the next call of TakeReady, OnRequest or
  // Next.
  bool RefreshSome(std::size_t most);

  // Returns the streams for which Next() may have something, in the order in which they should be
  // written. Each is named once per event: one that can't write now must be asked again (Next) when
  // it can.
  std::vector<Stream*> TakeReady(Time now);

  // Returns when TakeReady() should be called although nothing happened.
  std::optional<Time> NextDeadline() const;

  const Identity& identity() const;
  const Counters& counters() const;
  // These cost nothing: they are kept up as the session goes on.
  std::size_t Held() const;
  // Returns the number of secrets that are subscribed and that nobody serves.
  std::size_t UnknownSecrets() const;
  // Returns the number of resources that the Envoy can't take because of its node.
  std::size_t NodeFaults() const;
  // Returns when the oldest response was made that the Envoy hasn't answered yet.
  std::optional<Time> OldestUnanswered() const;
  // Returns how many names, parts, clusters and other entries of tables were looked at since the
  // start: a measure of the work, which must follow what changes.
  std::uint64_t examined() const;

  // The views are in session_view.cc. Memory: what is shown, at most `most` entries, held and
  // rejected ones. Time: with `all` what the Envoy has, else what deviates.
  SessionView View(Time now, const ViewFilter& filter = ViewFilter::Everything(),
                   std::size_t most = ViewFilter::kEverything) const;
  // nullopt: the Envoy neither has nor awaits it.
  std::optional<LedgerEntry> Entry(ResourceType type, const std::string& name) const;
  Opinion OpinionOn(const ResourceKey& key, const Hash128& version) const;

 private:
  const std::unique_ptr<EnvoyState> envoy_;                   // before the streams, which use it
  std::map<std::uint64_t, std::unique_ptr<Stream>> streams_;  // by StreamState::id
};

}  // namespace contour::xds
