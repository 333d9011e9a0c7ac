// SPDX-License-Identifier: Apache-2.0
// Reads objects from an API server: it lists and watches every kind that contour reads from a
// cluster (all of api::Kind but Endpoints), and delivers the objects to an api::Sink. reflector.h
// follows one kind.
//
// Example, given `ServerConfig config` and `api::Sink& sink`:
//   CONTOUR_ASSIGN_OR_RETURN(const auto credentials, Credentials::Create(config));
//   ClusterSource source(credentials, {});
//   source.Start(sink);  // sink.Apply … sink.Synced, from the source's thread
//   source.Stop();       // or the destructor; the sink is not called any more
//
// Synced is called when each kind (in each namespace) is listed. A kind that discovery proves not
// to be installed counts as listed and empty. After any other answer (forbidden, not found, a
// failure, an answer that isn't of an API server) the source tries again without end, and so it
// does if the server can't be reached; objects that were delivered stay. GetStats, NeverKnown and
// NotKnownNow report it.
//
// Kinds in `without` are not read at all. `watch_namespaces` is for a contour without rights for
// the whole cluster: it makes one list and watch for each kind and namespace. IngressClass is
// cluster-wide; if reading it is forbidden from the start, it is then left out.
//
// Start, Stop and GetStats may be called on any thread but the sink's.

#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/object.h"
#include "api/source.h"
#include "kube/credentials.h"
#include "kube/curl_io.h"
#include "kube/loop.h"
#include "kube/reflector.h"
#include "kube/transport.h"

namespace contour::kube {

// The statistics of a kind, over all its namespaces.
struct KindStats {
  api::Kind kind = api::Kind::kService;
  std::size_t objects = 0;
  std::uint64_t events = 0;
  std::uint64_t lists = 0;     // that were committed
  std::uint64_t watches = 0;   // that were opened
  std::uint64_t failures = 0;  // requests that failed
  std::uint64_t bad_objects = 0;
  bool synced = false;     // in all namespaces
  bool forbidden = false;  // in at least one namespace
  bool absent = false;
  bool left_out = false;  // in a namespace where it is forbidden, as the configuration permits
  // The time since which the kind is unknown, in the namespace where that is longest; nullopt: it
  // is known in all.
  std::optional<std::chrono::milliseconds> unknown_for;
  Trouble trouble = Trouble::kNone;                              // why it isn't known
  std::string missing_right;                                     // see ReflectorStats
  std::optional<std::chrono::milliseconds> since_last_received;  // nullopt: nothing came yet
  std::string last_error;                                        // empty: all is well
};

struct ClusterSourceStats {
  bool synced = false;
  std::vector<KindStats> kinds;  // the kinds that are watched, in the order of api::Kind
};

// True if no kind was listed, and requests fail because the server can't be reached.
bool IsAway(const ClusterSourceStats& stats);
// Returns a text about the kinds that never were known because the server answers something else,
// with its answer and the right that is missing. Empty: there is none.
std::string NeverKnown(const ClusterSourceStats& stats);
// Returns the kinds that were known once and haven't been for `at_least`, in the same form.
std::string NotKnownNow(const ClusterSourceStats& stats, std::chrono::milliseconds at_least);

struct ClusterSourceOptions {
  WatchOptions watch;
  std::vector<api::Kind> without;              // kinds that are not read
  std::vector<std::string> watch_namespaces;   // empty: all
  std::vector<std::string> secret_namespaces;  // for Secrets; empty: watch_namespaces
  CurlIo::Options io{.name = "kube-watch"};
};

class ClusterSource {
 public:
  // Has a thread and a connection of its own.
  ClusterSource(std::shared_ptr<Credentials> credentials, ClusterSourceOptions options);
  // Uses the given loop and transport, which outlive the source and run until Stop has returned.
  ClusterSource(std::shared_ptr<Credentials> credentials, ClusterSourceOptions options, Loop& loop,
                Transport& transport);
  ~ClusterSource();
  ClusterSource(const ClusterSource&) = delete;
  ClusterSource& operator=(const ClusterSource&) = delete;

  // Starts the source; to be called once. The sink outlives Stop.
  void Start(api::Sink& sink);
  void Stop();

  ClusterSourceStats GetStats() const;

 private:
  class Impl;
  std::unique_ptr<CurlIo> io_;  // nullptr: loop and transport were given
  std::unique_ptr<Impl> impl_;
};

}  // namespace contour::kube
