// SPDX-License-Identifier: Apache-2.0
// Reads and checks the files of the xDS port's TLS, and follows their changes.
//
// Example, given `xds::Server& server`:
//   OwnCertificates own(
//       OwnCertificates::Files{.certificate = "tls.crt", .key = "tls.key", .client_ca = "ca.crt"});
//   own.Start([&](xds::TLSKeysPtr keys) { server.SetTLS(keys); });
//
// Only keys that can be used are passed on: each file is PEM, and the key belongs to the
// certificate. While the files can't be used, the last good keys stay in use. A process that never
// had good ones is not ready, opens no port and doesn't try to lead. It reads the files again and
// again, so that files that come late need no restart. The fault is in the log, in the readiness
// text and in a metric. An Envoy whose connection fails keeps its last configuration, so nobody
// would notice otherwise until the next change.
//
// An expired certificate is used, with a warning. The CA's file has one of two names (ca_file.h).

#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "admin/metrics.h"
#include "base/mutex.h"
#include "base/worker_thread.h"
#include "xds/grpc/server.h"

namespace contour::serve {

class OwnCertificates {
 public:
  struct Files {
    std::string certificate;
    std::string key;
    std::string client_ca;
  };
  // Takes keys that can be used: the first ones, and new ones whenever they changed. Called on the
  // thread of Start(), then on one of its own.
  using Use = std::function<void(xds::TLSKeysPtr)>;

  // nullopt: the port has no TLS, and nothing is done. The files are read once an `interval`.
  explicit OwnCertificates(std::optional<Files> files,
                           std::chrono::milliseconds interval = std::chrono::seconds(1));
  ~OwnCertificates();  // stops
  OwnCertificates(const OwnCertificates&) = delete;
  OwnCertificates& operator=(const OwnCertificates&) = delete;

  void Start(Use use);  // has read the files once when it returns
  void Stop();

  bool wanted() const { return files_.has_value(); }

  // The next three may be called on any thread. Returns why there are no keys to use; empty: there
  // are, or none is needed.
  std::string NotReady() const;
  // Returns why the files can't be used although older keys are in use; empty: they can.
  std::string Remark() const;
  void AddTo(admin::MetricsText& text) const;

 private:
  // The content of the files.
  struct Content {
    xds::TLSKeys keys;
    std::string ca_path;
    std::string passed_over;  // see certgen::CAFile

    bool operator==(const Content&) const = default;
  };

  absl::StatusOr<Content> Read() const;
  absl::Status Check(const Content& content) const;
  void Look();
  void Take(const Content& content);
  void Refuse(const std::string& problem);

  const std::optional<Files> files_;
  const std::chrono::milliseconds interval_;
  Use use_;
  // The next five are used on the thread that looks only.
  std::optional<Content> checked_;  // what was checked last, so that it isn't checked again
  absl::Status verdict_;            // of that check
  std::string seen_;                // the problem of the last read
  std::string told_;                // the problem that was logged
  std::string doubt_;               // the CA's file that was ignored, as it was logged

  mutable Mutex mutex_;
  xds::TLSKeysPtr in_use_ ABSL_GUARDED_BY(mutex_);
  std::string ca_path_ ABSL_GUARDED_BY(mutex_);  // the file of the CA that is in use
  std::string problem_ ABSL_GUARDED_BY(mutex_);  // why the files can't be used as they are now
  WorkerThread worker_;
};

}  // namespace contour::serve
