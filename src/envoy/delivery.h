// SPDX-License-Identifier: Apache-2.0
// The delivery mode: how hosts become resources. All modes give the same answer to every request.
// They differ in the cost of a change inside Envoy, and in the resources that one sees.

#pragma once

#include <cstdint>

namespace contour::envoy {

enum class Delivery : std::uint8_t {
  // One route configuration per listener (ingress_http, ingress_https). A changed host is sent with
  // all others, and Envoy builds all of them again.
  kClassic,
  // Each host of plain HTTP is a scoped route configuration, found by the request's authority. A
  // changed host is sent alone. HTTPS is as in kClassic.
  kSharded,
  // In addition to kSharded, hosts of HTTPS are scoped route configurations too. All hosts with the
  // usual TLS settings share a filter chain, which fetches the certificate by the server name.
  kShardedHTTPS,
};

constexpr bool ShardsHTTP(Delivery delivery) { return delivery != Delivery::kClassic; }
constexpr bool ShardsHTTPS(Delivery delivery) { return delivery == Delivery::kShardedHTTPS; }

}  // namespace contour::envoy
