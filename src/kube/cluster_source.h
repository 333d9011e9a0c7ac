// SPDX-License-Identifier: Apache-2.0
// The API server as a source of objects: every kind that the project reads from a cluster (all of
// api::Kind but Endpoints), listed and watched, delivered to an api::Sink. How one kind is
// followed: reflector.h.
//
//   CONTOUR_ASSIGN_OR_RETURN(ServerConfig config, LoadServerConfig(options));
//   CONTOUR_ASSIGN_OR_RETURN(const auto credentials, Credentials::Create(config));
//   ClusterSource source(credentials, {});
//   source.Start(sink);  // sink.Apply … sink.Synced, from the source's thread
//   …
//   source.Stop();       // or the destructor; the sink is not called any more
//
// Synced comes once each kind (in each namespace) is listed; a kind of which discovery proves that
// it isn't installed counts as listed and empty. Any other answer (forbidden, not found, a failure,
// something that an API server doesn't say) is waited out without end, and so is a server that
// can't be reached: what was delivered stays. GetStats, NeverKnown and NotKnownNow say so.
//
// Kinds in `without` are not read at all. Without rights for the whole cluster: `watch_namespaces`
// makes one list and watch per kind and namespace. IngressClass is cluster-wide; where reading it
// is forbidden from the start it is left out then.
//
// Start, Stop and GetStats: any thread but the sink's.

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

// All namespaces of a kind together.
struct KindStats {
  api::Kind kind = api::Kind::kService;
  std::size_t objects = 0;
  std::uint64_t events = 0;
  std::uint64_t lists = 0;     // committed
  std::uint64_t watches = 0;   // opened
  std::uint64_t failures = 0;  // requests that failed
  std::uint64_t bad_objects = 0;
  bool synced = false;     // everywhere
  bool forbidden = false;  // somewhere
  bool absent = false;
  bool left_out = false;  // somewhere: it is forbidden, and the configuration allows that
  // For how long it hasn't been known for certain what there is, where that is longest; nullopt: it
  // is known everywhere.
  std::optional<std::chrono::milliseconds> unknown_for;
  Trouble trouble = Trouble::kNone;                              // why it isn't known
  std::string missing_right;                                     // see ReflectorStats
  std::optional<std::chrono::milliseconds> since_last_received;  // nullopt: nothing came yet
  std::string last_error;                                        // empty: all is well
};

struct ClusterSourceStats {
  bool synced = false;
  std::vector<KindStats> kinds;  // those that are watched, in the order of api::Kind
};

// True if no kind was listed, and requests fail because the server can't be reached.
bool IsAway(const ClusterSourceStats& stats);
// Returns the kinds that never were known, as the server answers something else, with its answer
// and the right that is missing, for people. Empty: there is none.
std::string NeverKnown(const ClusterSourceStats& stats);
// Returns the kinds that were known once and haven't been for `at_least`, in the same form.
std::string NotKnownNow(const ClusterSourceStats& stats, std::chrono::milliseconds at_least);

struct ClusterSourceOptions {
  WatchOptions watch;
  std::vector<api::Kind> without;              // kinds that are not read
  std::vector<std::string> watch_namespaces;   // empty: all
  std::vector<std::string> secret_namespaces;  // of Secrets instead; empty: as the others
  CurlIo::Options io{.name = "kube-watch"};
};

class ClusterSource {
 public:
  // With a thread and a connection of its own.
  ClusterSource(std::shared_ptr<Credentials> credentials, ClusterSourceOptions options);
  // On a loop and transport of somebody else, which outlive it and run until Stop has returned.
  ClusterSource(std::shared_ptr<Credentials> credentials, ClusterSourceOptions options, Loop& loop,
                Transport& transport);
  ~ClusterSource();
  ClusterSource(const ClusterSource&) = delete;
  ClusterSource& operator=(const ClusterSource&) = delete;

  // Once. The sink outlives Stop.
  void Start(api::Sink& sink);
  void Stop();

  ClusterSourceStats GetStats() const;

 private:
  class Impl;
  std::unique_ptr<CurlIo> io_;  // nullptr: somebody else's is used
  std::unique_ptr<Impl> impl_;
};

}  // namespace contour::kube
