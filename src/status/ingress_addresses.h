// SPDX-License-Identifier: Apache-2.0
// What `status.loadBalancer` of our Ingresses should say: the addresses under which Envoy is
// reached. They are configured, or those of the load balancer of Envoy's Service, and follow it.
//
//   IngressAddresses addresses({.service = {Kind::kService, "projectcontour", "envoy"}},
//                              [&](const auto& ref, auto fields) { writer.Want(ref, fields); });
//   addresses.Observe(changes);             // each batch of a source: the Service
//   addresses.SetOurs(output.ingresses);    // each batch of the core: whose status it is
//
// A Service without addresses clears the field, and so does one that goes. One that never was there
// says nothing, as then somebody else may keep the field. An Ingress that ceases to be ours keeps
// what it has: it is for its new controller to say.
//
// Any thread; `want` is called on it.

#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "api/service.h"
#include "api/source.h"
#include "base/mutex.h"

namespace contour::status {

class IngressAddresses {
 public:
  // nullopt: leave the status alone.
  using Want = std::function<void(const api::ObjectRef& ref, std::optional<std::string> fields)>;

  struct Options {
    std::vector<api::LoadBalancerIngress> fixed;  // not empty: these, whatever the Service has
    api::ObjectRef service;
  };

  IngressAddresses(Options options, Want want);

  void Observe(const std::vector<api::Change>& changes);
  void SetOurs(const std::vector<std::pair<api::ObjectRef, bool>>& ingresses);

 private:
  const Options options_;
  const Want want_;
  Mutex mutex_;
  std::set<api::ObjectRef> ours_ ABSL_GUARDED_BY(mutex_);
  std::optional<std::string> fields_ ABSL_GUARDED_BY(mutex_);  // see fields.h; nullopt: not known
};

// The values of --ingress-status-address: an IP address (v4 or v6, without brackets and port) or a
// host name each.
absl::StatusOr<std::vector<api::LoadBalancerIngress>> ParseAddresses(
    const std::vector<std::string>& addresses);

}  // namespace contour::status
