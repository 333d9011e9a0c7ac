// SPDX-License-Identifier: Apache-2.0
// What requests to the API server are sent with, kept current: files are looked at again for each
// request and read when they changed (a mounted service account token is exchanged about every
// hour), a plugin is asked again when what it gave expires or is refused.
//
//   CONTOUR_ASSIGN_OR_RETURN(const auto credentials, Credentials::Create(config));
//   credentials->Get(loop, [](absl::StatusOr<Identity> identity) { … });
//   if (http_status == 401 && credentials->Refused(identity)) …again, once
//
// A file that can't be read or used at the moment (it is being replaced) leaves the last good
// content in use. A new CA or client certificate is new TlsOptions, thus a new connection for later
// requests; running ones stay. A plugin runs on a thread of its own, one at a time, with a limit on
// its time; requests wait for it, no thread does.
//
// Any thread. Nothing that is secret appears in messages or logs.

#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kube/loop.h"
#include "kube/server_config.h"
#include "kube/transport.h"

namespace contour::kube {

// What one request is sent with.
struct Identity {
  std::string authorization;  // the header's value; empty: none is sent
  std::shared_ptr<const TlsOptions> tls;
  std::uint64_t serial = 0;  // tells which state of the credentials this was
};

class Credentials {
 public:
  struct Options {
    std::chrono::milliseconds plugin_timeout{60'000};
    // A plugin's answer is renewed this long before it expires.
    std::chrono::seconds expiry_margin{10};
    // A plugin whose fresh answer was refused isn't asked again before this.
    std::chrono::milliseconds refused_pause{10'000};
    std::function<std::chrono::system_clock::time_point()> now = [] {
      return std::chrono::system_clock::now();
    };
  };
  using Done = std::function<void(absl::StatusOr<Identity>)>;

  // Checks everything that can be checked without the server: files are readable, PEM is PEM, key
  // and certificate belong together, the plugin exists. Errors: kInvalidArgument, naming the
  // configuration and the file.
  static absl::StatusOr<std::shared_ptr<Credentials>> Create(ServerConfig config, Options options);
  static absl::StatusOr<std::shared_ptr<Credentials>> Create(ServerConfig config) {
    return Create(std::move(config), Options());
  }
  ~Credentials();  // ends a running plugin; those who wait for it are never told
  Credentials(const Credentials&) = delete;
  Credentials& operator=(const Credentials&) = delete;

  const ServerConfig& config() const;

  // On the thread of `loop`: calls `done`, at once if what is needed is at hand, else later on the
  // same thread. Errors: kUnavailable, the plugin's.
  void Get(Loop& loop, Done done);
  // Those who wait on `loop` are not told any more. Before a loop goes.
  void Forget(Loop& loop);

  // The server answered 401 to this. True: there is or will be something newer, so that trying
  // again makes sense.
  bool Refused(const Identity& identity);

 private:
  class Impl;
  explicit Credentials(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace contour::kube
