// SPDX-License-Identifier: Apache-2.0
// Drives the sessions of all Envoys on threads of its own, behind a Sink per stream: everything of
// the server that isn't gRPC. Reactions of gRPC only put events in a queue; parsing, comparing and
// encoding happen on a worker.
//
//   Dispatcher dispatcher(options);
//   dispatcher.Publish(snapshot);   // any thread, any time
//   auto stream = dispatcher.Open(&sink, StreamMode::kAggregatedDelta, {}, "ipv4:10.0.0.1:40000");
//   dispatcher.Start(stream);       // from here on the sink is called:
//                                   // sink.Read() → its owner reads and calls OnRequest()
//                                   // sink.Write(payload) → when it is written, OnWritten()
//   dispatcher.Close(stream);       // from here on the sink isn't touched
//
// Sessions take turns: a response to very many changes is made in slices of some milliseconds, and
// the other sessions of the worker go on between them.
//
// A slow Envoy costs nothing but its own last response: one write is under way per stream, requests
// are read one by one, and a published snapshot overwrites the one before. Requests are answered
// from the first Publish on; until then they wait, so that no Envoy sees an empty state.
//
// Threads: every method from any thread, none blocks on an Envoy. A connection (peer) belongs to
// one worker; a sink is called by it alone, with no lock of the sink's owner held. Locks: a
// stream's, then the sink's own; a worker's queue last. A sink's owner must not hold a lock that
// its methods take while calling Close().

#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "xds/fleet/quarantine.h"
#include "xds/session/session.h"
#include "xds/session/session_inquiry.h"
#include "xds/session/views.h"
#include "xds/wire/encoder.h"

namespace contour::xds {

// Where a stream's responses go and its requests come from.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void Read() = 0;                       // start reading one request; OnRequest() follows
  virtual void Write(Payload payload) = 0;       // OnWritten() follows; not called again before
  virtual void Finish(absl::Status status) = 0;  // end the stream; nothing is called after it
};

class Dispatcher {
 public:
  struct Options {
    std::chrono::milliseconds warm_timeout{5000};
    std::size_t workers = 1;  // > 0
    // A session that has more to do than this lets the others of its worker go on first.
    std::chrono::milliseconds slice{2};
    // An Envoy that comes says in its first requests on an ADS stream what it has, which may be
    // much. Of so many streams of a worker at a time one of these is read, and each counts for so
    // long at most: others wait, so that what a thousand Envoys say at once isn't in memory at
    // once.
    std::size_t opening_reads = 16;
    std::chrono::milliseconds opening_time{50};
    Encoder::Adapt adapt;                                 // empty: messages are sent as they are
    std::function<void(const Rejection&)> on_rejection;   // on a worker; may be empty
    Quarantine::Options quarantine;                       // called on a worker or within Publish
    std::function<void(const NodeFault&)> on_node_fault;  // on a worker; may be empty
    // Called with a lock held, on a worker or within Publish; may be empty (see quarantine.h).
    Quarantine::Follow follow;
  };
  class Connection;  // one stream, opaque
  using ConnectionPtr = std::shared_ptr<Connection>;

  // `past`: what a process before this one served last. For some minutes an Envoy that names its
  // versions is known to have its content. nullptr: that isn't known.
  explicit Dispatcher(Options options, const SnapshotPtr& past = nullptr);
  ~Dispatcher();  // REQUIRES: every stream is closed

  // `type`: what a request without a type URL means (streams per type).
  ConnectionPtr Open(Sink* sink, StreamMode mode, std::optional<ResourceType> type,
                     std::string peer);
  // Starts reading. Returns false after Stop(): then the stream is to be refused, and the sink
  // isn't touched.
  bool Start(const ConnectionPtr& connection);
  void OnRequest(const ConnectionPtr& connection, std::string bytes);
  void OnWritten(const ConnectionPtr& connection);
  void Close(const ConnectionPtr& connection);  // also of one that wasn't started

  void Publish(const SnapshotPtr& snapshot);  // not null

  // Finishes every stream with kUnavailable, a few at a time over `spread` so that not all come to
  // the next server at once, and refuses new ones. Returns when the sinks know.
  void Stop(std::chrono::milliseconds spread = std::chrono::milliseconds(0));

  // Waits for no worker.
  Metrics GetMetrics() const;
  // Asks the sessions; `make` makes the question for one worker. Waiting is up to the caller, who
  // may outlive the dispatcher.
  std::shared_ptr<SessionInquiry> Ask(
      const std::function<std::unique_ptr<SessionQuestion>()>& make) const;
  std::size_t workers() const { return workers_.size(); }
  std::vector<QuarantineView> Quarantined() const { return quarantine_.View(); }

 private:
  class Memories;
  class Worker;

  const Options options_;
  Encoder encoder_;
  const std::unique_ptr<Memories> memories_;
  Quarantine quarantine_;                         // before the workers, which use it
  std::vector<std::unique_ptr<Worker>> workers_;  // fixed from construction on
};

}  // namespace contour::xds
