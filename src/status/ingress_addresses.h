// SPDX-License-Identifier: Apache-2.0
// Decides which addresses `status.loadBalancer` of our Ingresses should have: the addresses of
// Envoy. They are configured, or follow the load balancer of Envoy's Service.
//
// Example, given `const std::vector<api::Change>& changes`:
//   IngressAddresses addresses({.service = {api::Kind::kService, "projectcontour", "envoy"}},
//                              [](const api::ObjectRef& ref, std::optional<std::string> fields) {});
//   addresses.Observe(changes);  // each batch of a source: the Service
//   addresses.SetOurs({{{api::Kind::kIngress, "default", "kuard"}, true}});  // whose status it is
//
// A Service without addresses clears the field, and so does a Service that is deleted. If the
// Service never existed, the field isn't touched, since somebody else may write it. An Ingress that
// ceases to be ours keeps its addresses until its new controller writes others.
//
// The methods may be called on any thread; `want` is called on the same.

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
  // Called with the wanted fields of an Ingress; nullopt: its status is not to be touched.
  using Want = std::function<void(const api::ObjectRef& ref, std::optional<std::string> fields)>;

  struct Options {
    std::vector<api::LoadBalancerIngress> fixed;  // not empty: used in place of the Service's
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

// Parses the values of --ingress-status-address. Each is an IP address (v4 or v6, without brackets
// and port) or a host name.
absl::StatusOr<std::vector<api::LoadBalancerIngress>> ParseAddresses(
    const std::vector<std::string>& addresses);

}  // namespace contour::status
