// SPDX-License-Identifier: Apache-2.0
// Keeps the credentials for requests to the API server current. Files are checked for each request
// and read again when they changed (a mounted service account token is replaced about every hour).
// A plugin is asked again when its credential expires or is refused.
//
// Example, given `ServerConfig config` and `Loop& loop`:
//   CONTOUR_ASSIGN_OR_RETURN(const auto credentials, Credentials::Create(config));
//   credentials->Get(loop, [credentials](absl::StatusOr<Identity> identity) {
//     // …the server answers 401:
//     if (identity.ok() && credentials->Refused(*identity)) std::puts("try again, once");
//   });
//
// If a file can't be read or used at the moment (it is being replaced), the last good content stays
// in use. A new CA or client certificate gives new TlsOptions, and so a new connection for later
// requests; running requests keep theirs. A plugin runs on a thread of its own, one at a time, with
// a limit on its time; requests wait for it, but no thread does.
//
// The methods may be called on any thread. Messages and logs have no secrets.

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

// The credentials of one request.
struct Identity {
  std::string authorization;  // the header's value; empty: none is sent
  std::shared_ptr<const TlsOptions> tls;
  std::uint64_t serial = 0;  // the number of this state of the credentials
};

class Credentials {
 public:
  struct Options {
    std::chrono::milliseconds plugin_timeout{60'000};
    // A plugin's credential is renewed this long before it expires.
    std::chrono::seconds expiry_margin{10};
    // A plugin whose new credential was refused isn't asked again before this time is over.
    std::chrono::milliseconds refused_pause{10'000};
    std::function<std::chrono::system_clock::time_point()> now = [] {
      return std::chrono::system_clock::now();
    };
  };
  using Done = std::function<void(absl::StatusOr<Identity>)>;

  // Checks everything that can be checked without the server: files can be read, PEM can be parsed,
  // key and certificate belong together, the plugin exists. Errors are kInvalidArgument, and name
  // the configuration and the file.
  static absl::StatusOr<std::shared_ptr<Credentials>> Create(ServerConfig config, Options options);
  static absl::StatusOr<std::shared_ptr<Credentials>> Create(ServerConfig config) {
    return Create(std::move(config), Options());
  }
  ~Credentials();  // ends a running plugin; the calls that wait for it are dropped
  Credentials(const Credentials&) = delete;
  Credentials& operator=(const Credentials&) = delete;

  const ServerConfig& config() const;

  // Calls `done` on the thread of `loop`, from which it must be called: at once if no plugin has to
  // be asked, else later. Error kUnavailable: the plugin failed.
  void Get(Loop& loop, Done done);
  // Drops the calls that wait on `loop`. To be called before a loop ends.
  void Forget(Loop& loop);

  // Reports that the server answered 401 to this identity. Returns true if there is or will be a
  // newer one, so that the request can be tried again.
  bool Refused(const Identity& identity);

 private:
  class Impl;
  explicit Credentials(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace contour::kube
