// SPDX-License-Identifier: Apache-2.0
// The xDS v3 server: ADS and the services per type, delta and state of the world, over gRPC.
//
//   xds::Server server({.address = "0.0.0.0", .port = 8001, .tls = true});
//   server.SetTLS(keys);               // before Start, and again whenever they are renewed
//   server.Publish(first_snapshot);    // before Start: no Envoy is to see an empty state
//   CONTOUR_ASSIGN_OR_RETURN(const int port, server.Start());
//   server.Publish(next);              // any thread, any time; the newest wins
//   server.Stop(std::chrono::seconds(5));
//   server.Start();                    // leadership was lost and regained
//
// TLS: the server asks for a client certificate that the CA signed and offers ALPN h2. A handshake
// uses the keys that were set last before it; streams that are open go on.
//
// Threads: methods from any thread, except that Start and Stop are called by one at a time. gRPC's
// threads only pass bytes; the work is done on `workers` threads (see dispatcher.h).

#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "xds/session/views.h"
#include "xds/snapshot/snapshot.h"
#include "xds/wire/encoder.h"

namespace contour::xds {

// PEM texts. The caller has checked that they can be used: gRPC passes over those that it can't use
// and says so in its log only.
struct TLSKeys {
  std::string certificate;  // with its chain
  std::string key;
  std::string client_ca;  // signs the certificates of those who may connect

  bool operator==(const TLSKeys&) const = default;
};
using TLSKeysPtr = std::shared_ptr<const TLSKeys>;

// Writes what gRPC logs to our log, under the context `grpc`: of each place in its code at most a
// line in `pause`, which counts those that were left out. Call it before other threads use gRPC; a
// second call changes the pause.
void LogThroughOurs(std::chrono::milliseconds pause = std::chrono::seconds(10));

class Server {
 public:
  struct Options {
    std::string address = "127.0.0.1";  // IPv4, IPv6 (without brackets) or a host name
    int port = 8001;                    // 0: any free one
    bool tls = false;                   // false: plaintext

    // The server sends pings, also without streams, so that a dead Envoy is noticed. An Envoy that
    // builds a large listener answers nothing meanwhile, and must not be taken for dead: the
    // time-out is far longer than the longest build that was measured (docs/decisions/0038).
    std::chrono::milliseconds keepalive_time{60'000};
    std::chrono::milliseconds keepalive_timeout{300'000};

    // A connection that hasn't shaken hands (TCP, TLS, HTTP/2 settings) by then is closed. The
    // library's own limit is two minutes.
    std::chrono::milliseconds handshake_timeout{10'000};
    // A connection without a stream is closed after this time. Envoys keep their streams.
    std::chrono::milliseconds idle_timeout{300'000};
    // A connection that is older ends, give or take a tenth, and Envoy opens another. By this the
    // Envoys spread over replicas that came later. 0: never.
    std::chrono::milliseconds connection_age{0};

    std::chrono::milliseconds warm_timeout{5000};  // see Session::Options
    std::size_t workers = 0;                       // 0: by the number of processors
    Encoder::Adapt adapt;  // see Encoder; empty: messages are sent as they are
    std::function<void(const Rejection&)>
        on_rejection;  // on a worker, besides a line in the log; may be empty
    // Called, on any thread, besides a line in the log, when a content is quarantined, when it is
    // kept from more Envoys than before, and when that ends (see quarantine.h). Must not call the
    // server.
    std::function<void(const QuarantineView&)> on_quarantine;  // may be empty
    std::function<void(const QuarantineView&)> on_release;     // may be empty
    // Called, on any thread, when the contents that stand in for quarantined ones need something
    // else than before: what is published from then on is to hold it, whether the objects use it or
    // not. Must not call the server.
    std::function<void(const StandInNeeds&)> follow;  // may be empty
  };

  explicit Server(Options options);
  ~Server();  // stops without waiting for Envoys
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Listens, and returns the port. kUnavailable: the address can't be bound ("listen
  // 127.0.0.1:8001: …"); kFailedPrecondition: it listens already, or TLS is wanted and has no keys
  // yet.
  absl::StatusOr<int> Start();

  void SetTLS(TLSKeysPtr keys);  // not null; for handshakes that begin from now on

  // Says what a process before this one served last (not null), so that Envoys which come back to
  // this one keep of it what they still use. Counts for some minutes from the next Publish on.
  // REQUIRES: nothing was published.
  void Remember(SnapshotPtr past);

  void Publish(SnapshotPtr snapshot);  // not null

  // Closes the port and ends every stream with UNAVAILABLE, spread over `spread`; streams that
  // don't end within the deadline after it are cut. Nothing if it isn't started.
  void Stop(std::chrono::milliseconds deadline,
            std::chrono::milliseconds spread = std::chrono::milliseconds(0));

  // For metrics and debug pages. None holds up Publish or a worker's other sessions.
  Metrics GetMetrics() const;  // waits for nobody
  // Returns what the Envoys have. Waits at most `patience` for busy workers, whose Envoys aren't
  // shown.
  SessionViews Sessions(const ViewFilter& filter, std::chrono::milliseconds patience) const;
  // Returns what became of these resources on the Envoys. Waits likewise.
  FleetFates Fates(std::vector<ResourceQuestion> resources,
                   std::chrono::milliseconds patience) const;
  std::vector<QuarantineView> Quarantined() const;  // what is kept from all Envoys now

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace contour::xds
