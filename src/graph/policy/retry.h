// SPDX-License-Identifier: Apache-2.0
// Retry behaviour of a route, whoever asked for it. One reader, `MakeRetry`, serves all kinds; the
// two functions below say where a kind keeps the fields.

#pragma once

#include <optional>

#include "api/ingress_route.h"
#include "api/object.h"
#include "graph/model/route.h"

namespace contour::graph {

// `retryPolicy` of an IngressRoute's route; nullopt if absent. Retries on 5xx; a count below 1
// means 1; a per-try timeout that is no duration or not positive is left out.
std::optional<Retry> RouteRetry(const Box<api::IngressRouteRetryPolicy>& policy);

// Annotations retry-on, num-retries and per-try-timeout of an Ingress, under both prefixes; nullopt
// without retry-on. Under contour.heptio.com/ a count that is not a positive number is left out
// (Envoy: 1); under projectcontour.io/ it is 1, and -1 means no retries.
std::optional<Retry> IngressRetry(const api::Meta& meta);

}  // namespace contour::graph
