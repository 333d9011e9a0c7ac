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
};

}  // namespace contour::envoy
