// SPDX-License-Identifier: Apache-2.0
// In which shape routes reach Envoy. Both give the same answer to every request; they differ in
// what a change costs inside Envoy, and in which resources one sees.

#pragma once

#include <cstdint>

namespace contour::envoy {

enum class Delivery : std::uint8_t {
  // One route configuration per listener (ingress_http, ingress_https). A changed host is sent with
  // all others, and Envoy builds all of them again.
  kClassic,
  // Plain HTTP by scoped routes: a resource per host, found by the request's authority. A changed
  // host is sent alone. HTTPS as in kClassic.
  kSharded,
  // As kSharded, and HTTPS likewise: one filter chain for all hosts with the usual TLS settings,
  // which fetches the certificate by the server name, and scoped routes.
  kShardedHTTPS,
};

constexpr bool ShardsHTTP(Delivery delivery) { return delivery != Delivery::kClassic; }
constexpr bool ShardsHTTPS(Delivery delivery) { return delivery == Delivery::kShardedHTTPS; }

}  // namespace contour::envoy
