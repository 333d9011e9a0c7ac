// SPDX-License-Identifier: Apache-2.0
// Implements loop and transport with one thread and libcurl's multi interface. Over TLS it speaks
// HTTP/2 where the server offers it, so that all requests of one CurlIo share a connection; over
// plain HTTP it speaks HTTP/1.1.
//
// Example:
//   CurlIo io({.name = "kube-watch"});  // the thread runs
//   io.Post([] { std::puts("on that thread"); });
//   io.Stop();  // or the destructor
//
// A CurlIo has connections of its own, so requests that must not wait for other traffic (the lease)
// use a CurlIo of their own. The kernel's keepalive probes and TCP_USER_TIMEOUT notice a network
// that drops packets. A server that is reachable but silent must be noticed by the one who waits
// for it (Transport::LastReceived, ResetConnections). A request with other TLS options than those
// of an open connection gets a new connection.
//
// Stop() ends the thread. It may be called on any thread but the loop's, and more than once.
// Running requests get no OnEnd then, and tasks and timers don't run any more; so the users of the
// loop must be stopped before it.

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
    // An idle connection is probed after `keepalive_idle`, then every `keepalive_interval`. It is
    // closed when data or a probe has been unanswered for `user_timeout`. The first two count in
    // whole seconds.
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
