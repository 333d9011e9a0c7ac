// SPDX-License-Identifier: Apache-2.0
// Publishes the leader's address: while this replica leads, it keeps its pod's address in the
// EndpointSlice `contour-leader` of the Service `contour`, which has no selector. Where all
// replicas serve, the leader keeps the slice empty instead: a slice from a time when only the
// leader served would lead Envoys to an address where nobody serves.
//
// Example, given `kube::Client& client` and `kube::Loop& loop`:
//   Address address({.ns = "projectcontour", .pod_ip = "10.0.0.1"}, client, loop,
//                   [&] { return true; /* the elector may write */ }, [](const Address::State&) {});
//   address.Publish();   // the port is open
//   address.Withdraw();  // this replica doesn't lead any more: the slice isn't touched
//
// Slices that Kubernetes made for the Service while it had a selector stay when it loses the
// selector, and lead Envoys to replicas that don't serve. They are named in State, but not removed:
// that would need the right to delete any slice of the namespace.
//
// The slice isn't emptied when the leader stops: the next leader overwrites it, and until then
// nobody else could answer. It is written only if it differs, with the resourceVersion that was
// read, and only if the leader may still write when the request goes out. It is read again every
// `recheck`, in case somebody changed it. Failures are tried again with backoff. To be used on the
// loop's thread.

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
  std::string ns;                   // the namespace of the Service, which is contour's own
  std::string service = "contour";  // label kubernetes.io/service-name
  std::string slice = "contour-leader";
  std::string pod_ip;      // IPv4 or IPv6; empty: nothing is published, and State says so
  bool all_serve = false;  // true: the slice is to be empty
  std::uint16_t port = 8001;
  std::chrono::milliseconds recheck{10'000};
};

// Returns the wanted slice, based on the present one ("": there is none); nullopt: the present one
// is right. kInvalidArgument: `present` isn't an object, or is of the other address family, which
// can't be changed.
absl::StatusOr<std::optional<std::string>> WantedSlice(const AddressOptions& options,
                                                       std::string_view present);

// Returns the names of the slices in a list of the Service's slices that have other addresses than
// ours, separated by blanks. kInvalidArgument: `list` isn't a list.
absl::StatusOr<std::string> SlicesOfOthers(const AddressOptions& options, std::string_view list);

class Address {
 public:
  struct State {
    // The slice is known to be right, and no other slice leads Envoys to another address.
    bool published = false;
    std::uint64_t writes = 0;
    std::string problem;  // why it isn't published, with the remedy; empty: it is, or we don't lead
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
  std::string others_;  // the last result of SlicesOfOthers()
  State state_;
};

}  // namespace contour::leader
