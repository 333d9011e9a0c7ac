// SPDX-License-Identifier: Apache-2.0
// Tells Envoys where the leader is: keeps the EndpointSlice `contour-leader` of the selector-less
// Service `contour` at our pod's address while we lead. Where all replicas serve, the leader keeps
// the slice empty instead: one that is left from a time when only the leader served would lead
// Envoys to an address where nobody is.
//
//   Address address(options, client, loop, [&] { return elector.MayWrite(); });
//   address.Publish();      // the port is open
//   address.Withdraw();     // we don't lead any more: leaves the slice alone from here on
//
// Slices that Kubernetes made for the Service while it had a selector stay when it loses it, and
// lead Envoys to replicas that don't serve. They are named in State, not removed: that would take
// the right to delete any slice of the namespace.
//
// The slice isn't emptied when we stop: the next leader overwrites it, and until then nobody else
// could answer anyway. Written only if it differs, with the resourceVersion that was read, and only
// if the leader may still write when the request goes out; looked at again every `recheck`, in case
// somebody changed it. Failures are tried again with backoff. On the loop's thread.

#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kube/backoff.h"
#include "kube/client.h"
#include "kube/loop.h"

namespace contour::leader {

struct AddressOptions {
  std::string ns;                   // of the Service; contour's own
  std::string service = "contour";  // label kubernetes.io/service-name
  std::string slice = "contour-leader";
  std::string pod_ip;      // IPv4 or IPv6; empty: nothing is published, and State says so
  bool all_serve = false;  // true: the slice is to name nobody
  std::uint16_t port = 8001;
  std::chrono::milliseconds recheck{10'000};
};

// Returns the slice as it should be, based on what is there ("": nothing); nullopt: it is right
// already. Errors: kInvalidArgument: what is there isn't an object, or is of the other address
// family, which can't be changed.
absl::StatusOr<std::optional<std::string>> WantedSlice(const AddressOptions& options,
                                                       std::string_view present);

// Returns the names of the slices in a list of the Service's slices that lead elsewhere than ours,
// with blanks between them. Errors: kInvalidArgument: it isn't a list.
absl::StatusOr<std::string> SlicesOfOthers(const AddressOptions& options, std::string_view list);

class Address {
 public:
  struct State {
    // The slice is known to be right, and no other leads Envoys elsewhere.
    bool published = false;
    std::uint64_t writes = 0;
    std::string problem;  // why it isn't, with the cure; empty: it is, or we don't lead
  };

  Address(AddressOptions options, kube::Client& client, kube::Loop& loop,
          std::function<bool()> may_write, std::function<void(const State&)> on_state);
  ~Address();
  Address(const Address&) = delete;
  Address& operator=(const Address&) = delete;

  void Publish();
  void Withdraw();

 private:
  void Read();
  void OnRead(const kube::Response& response);
  void Write(bool exists, std::string body);
  void OnWritten(const kube::Response& response);
  void Failed(const absl::Status& status);
  void Done();
  void OnListed(const kube::Response& response);
  void Settled();
  void Send(kube::Request request, void (Address::*done)(const kube::Response&));

  const AddressOptions options_;
  kube::Client& client_;
  const std::function<bool()> may_write_;
  const std::function<void(const State&)> on_state_;
  const std::string collection_;
  bool wanted_ = false;
  std::optional<kube::Client::RequestId> request_;
  kube::Backoff backoff_;
  kube::Loop& loop_;
  kube::Timer timer_;
  std::string others_;  // as SlicesOfOthers() gave it last
  State state_;
};

}  // namespace contour::leader
