// SPDX-License-Identifier: Apache-2.0
// Reports resources that an Envoy NACKs to the authors of the objects that they come from: with a
// line in the log and, if there is an API server, an Event of reason EnvoyRejected on each of these
// objects. Every replica reports the NACKs of its own Envoys.
//
// Example:
//   EnvoyRejections rejections(nullptr);  // no API server: the log only
//   rejections.Start();
//   EnvoyRejection rejection;
//   rejection.resource = "virtual host a.example.com of RDS ingress_http";
//   rejection.node_id = "edge-1";
//   rejection.error_message = "Invalid host";
//   rejection.sources = [](std::size_t) {
//     return std::vector<SourceObject>{
//         {{api::Kind::kIngressRoute, "default", "root"}, "uid-1", "7"}};
//   };
//   rejections.Add(std::move(rejection));
//   rejections.Stop();
//
// At most kWaiting rejections wait; further ones are only in the log line of the xDS server. At
// most kSources objects of a rejection are named, and at most kPerMinute Events are written. A
// rejection that comes again is the same Event with a higher count.

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "api/object.h"
#include "base/mutex.h"
#include "base/worker_thread.h"
#include "kube/client.h"
#include "kube/event.h"

namespace contour::status {

struct SourceObject {
  api::ObjectRef ref;
  std::string uid;  // empty: it isn't on an API server
  std::string resource_version;
};

struct EnvoyRejection {
  std::string resource;  // "virtual host a.example.com of RDS ingress_http"
  std::string version;   // of the content that was rejected
  std::string node_id;
  std::string error_message;
  bool ended = false;       // true: the content is sent to Envoys again
  bool all_envoys = false;  // true: it is kept from all Envoys; false: from this one
  bool replaced = false;    // true: the last good content is sent instead; false: nothing
  // Returns the objects that the resource comes from, the first `most` of them; nullopt: they can't
  // be found now. Called on the thread of EnvoyRejections.
  std::function<std::optional<std::vector<SourceObject>>(std::size_t most)> sources;
};

class EnvoyRejections {
 public:
  static constexpr std::size_t kWaiting = 256;
  static constexpr std::size_t kSources = 4;
  static constexpr std::size_t kPerMinute = 30;

  // Sends a request, and logs its failure.
  using Send = std::function<void(kube::Request request, const api::ObjectRef& ref)>;

  // `client` nullptr: no API server.
  explicit EnvoyRejections(kube::Client* client);
  explicit EnvoyRejections(Send send) : send_(std::move(send)) {}
  ~EnvoyRejections() { Stop(); }
  EnvoyRejections(const EnvoyRejections&) = delete;
  EnvoyRejections& operator=(const EnvoyRejections&) = delete;

  void Start();
  void Stop();  // rejections that wait are dropped
  // Any thread; returns at once.
  void Add(EnvoyRejection rejection) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // Returns the rejection that waits longest.
  std::optional<EnvoyRejection> TakeNext() ABSL_LOCKS_EXCLUDED(mutex_);
  void Tell(const EnvoyRejection& rejection);
  void Write(const SourceObject& object, const EnvoyRejection& rejection);
  bool MayWrite();

  const Send send_;  // empty: no API server
  // The next two are used on the thread only.
  std::map<std::string, std::uint64_t> written_;  // how often, by the Event's name
  std::deque<std::chrono::steady_clock::time_point> recent_;

  Mutex mutex_;
  std::deque<EnvoyRejection> waiting_ ABSL_GUARDED_BY(mutex_);
  WorkerThread worker_;
};

}  // namespace contour::status
