// SPDX-License-Identifier: Apache-2.0
// Watches one object by its name. The leader election watches its lock so, to know at once when it
// changes.
//
// Example, given `Session& session` and `ObjectWatch::Listener& listener`:
//   ObjectWatch watch(session, "/apis/coordination.k8s.io/v1/namespaces/ns/leases", "contour",
//                     {.backoff = {800ms, 30s}}, listener);
//   watch.Start();
//
// Each request begins with the object as it is, if there is one; so no change after OnOpen is
// missed. When a request ends, fails or is silent (no byte for `silence_limit`; API servers send
// bookmarks about once a minute), the next one follows, after a backoff if it failed.
//
// To be used on the loop's thread only.

#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "kube/backoff.h"
#include "kube/line_framer.h"
#include "kube/loop.h"
#include "kube/session.h"

namespace contour::kube {

class ObjectWatch final : public HttpHandler {
 public:
  struct Options {
    Backoff::Limits backoff;
    std::chrono::seconds shortest{300};  // the duration of a request is random between the two
    std::chrono::seconds longest{600};
    std::chrono::milliseconds silence_limit{150'000};
    std::size_t max_event_bytes = 2 * 1024 * 1024;
  };
  class Listener {
   public:
    virtual void OnOpen() = 0;  // the server has accepted the watch
    // `object` is its JSON; if it was deleted, its last state.
    virtual void OnObject(std::string_view object, bool deleted) = 0;
    virtual void OnClosed(const absl::Status& status) = 0;  // another request follows

   protected:
    ~Listener() = default;
  };

  ObjectWatch(Session& session, std::string collection_path, std::string name, Options options,
              Listener& listener);
  ~ObjectWatch();
  ObjectWatch(const ObjectWatch&) = delete;
  ObjectWatch& operator=(const ObjectWatch&) = delete;

  void Start();

 private:
  void OnHead(const HttpHead& head) override;
  void OnBody(std::string_view bytes) override;
  void OnEnd(const absl::Status& status) override;
  bool OnLine(std::string_view line);
  void Abort();
  void Closed(const absl::Status& status);
  void CheckSilence();

  Session& session_;
  const std::string collection_path_;
  const std::string name_;
  const Options options_;
  Listener& listener_;
  std::optional<Session::CallId> call_;
  int http_status_ = 0;
  bool open_ = false;
  std::string error_body_;
  LineFramer framer_;
  TimePoint last_bytes_;
  Backoff backoff_;
  Timer wait_timer_;
  Timer silence_timer_;
};

}  // namespace contour::kube
