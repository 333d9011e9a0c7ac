// SPDX-License-Identifier: Apache-2.0
// The real loop and transport: one thread with libcurl's multi interface. Over TLS it speaks HTTP/2
// where the server offers it, so that all requests of one CurlIo share a connection; over plain
// HTTP it speaks HTTP/1.1.
//
//   CurlIo io({.name = "kube-watch"});            // the thread runs
//   ClusterSource source(io, io, …);
//   …
//   io.Stop();                                    // or the destructor
//
// A CurlIo has connections of its own: what must not wait for another's traffic (the lease) gets a
// CurlIo of its own. Dead connections: the kernel's keepalive probes and TCP_USER_TIMEOUT notice a
// path that drops packets; a peer that is reachable but silent is the business of whoever waits for
// it (Transport::LastReceived, ResetConnections). Other TLS material than that of a live connection
// means a new connection.
//
// Stop() (any thread but the loop's; more than once is fine) ends the thread. Running requests get
// no OnEnd then, tasks and timers don't run any more; so those who use the loop are stopped before
// it.

#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "kube/loop.h"
#include "kube/transport.h"

namespace contour::kube {

class CurlIo final : public Loop, public Transport {
 public:
  struct Options {
    std::string name = "kube";  // of the thread, at most 15 characters
    std::string user_agent = "contour";
    std::chrono::milliseconds connect_timeout{10'000};  // name look-up, TCP and TLS together
    // An idle connection is probed after `keepalive_idle`, then every `keepalive_interval`; it is
    // given up when something sent (data or probe) has been unanswered for `user_timeout`. Whole
    // seconds count for the first two.
    std::chrono::seconds keepalive_idle{15};
    std::chrono::seconds keepalive_interval{5};
    std::chrono::milliseconds user_timeout{20'000};
    long buffer_bytes = 32 * 1024;  // receive buffer of each running request
  };

  explicit CurlIo(Options options);
  ~CurlIo() override;

  void Stop();

  TimePoint Now() const override;
  double Random() override;
  TimerId RunAfter(Clock::duration delay, std::function<void()> task) override;
  void CancelTimer(TimerId timer) override;
  void Post(std::function<void()> task) override;
  void Run(const std::function<void()>& task) override;

  RequestId Start(HttpRequest request, HttpHandler& handler) override;
  void Cancel(RequestId id) override;
  std::optional<TimePoint> LastReceived() const override;
  void ResetConnections() override;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace contour::kube
