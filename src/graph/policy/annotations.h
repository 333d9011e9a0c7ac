// SPDX-License-Identifier: Apache-2.0
// Annotations of Ingress and Service, under both prefixes: `projectcontour.io/x` wins over
// `contour.heptio.com/x`. Some values mean different things under the two, hence
// `Annotation::modern`.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "graph/model/cluster.h"
#include "graph/model/listener.h"
#include "graph/model/options.h"
#include "graph/model/route.h"

namespace contour::graph {

struct Annotation {
  std::string_view value;  // lives as long as the object
  bool modern = false;     // from projectcontour.io/
};

// `name` without prefix. nullopt: absent under both.
std::optional<Annotation> FindAnnotation(const api::Meta& meta, std::string_view name);

// Base-10 integer of the whole text; nullopt: it is none, or doesn't fit.
std::optional<std::int64_t> ParseInt(std::string_view text);

// The class that an object's annotations name; nullopt: none (or the empty one).
// Order: projectcontour.io/ingress.class, contour.heptio.com/ingress.class,
// kubernetes.io/ingress.class.
std::optional<std::string_view> ClassAnnotation(const api::Meta& meta);

// kubernetes.io/ingress.allow-http: true unless "false".
bool AllowHTTP(const api::Meta& meta);

// ingress.kubernetes.io/force-ssl-redirect: true only if "true".
bool ForceSSLRedirect(const api::Meta& meta);

// request-timeout (projectcontour.io/response-timeout goes first). What is no duration means
// infinite under contour.heptio.com/, and Envoy's default under projectcontour.io/.
std::optional<Timeout> RequestTimeout(const api::Meta& meta);

// websocket-routes: paths exactly as in the rules.
std::vector<std::string> WebsocketRoutes(const api::Meta& meta);

// A minimum TLS version as written in an annotation or field, raised to the configured minimum.
// What is written badly counts as the lowest that the prefix knows.
TLSVersion MinimumTLSVersion(std::string_view text, const Options& options);
TLSVersion MinimumTLSVersion(const api::Meta& meta, const Options& options);

// projectcontour.io/tls-maximum-protocol-version of an Ingress, 1.2 or 1.3; whatever else is 1.3.
// There is none under contour.heptio.com/.
TLSVersion MaximumTLSVersion(const api::Meta& meta);

// upstream-protocol.{h2,h2c,tls} of a Service for one of its ports. A match by name beats one by
// number; of several lists the last of h2, h2c, tls wins.
Protocol UpstreamProtocol(const api::Meta& meta, std::string_view port_name, std::int32_t port);

// max-connections, max-pending-requests, max-requests, max-retries of a Service, and under
// projectcontour.io/ per-host-max-connections. What is no number,
// zero or negative counts as unset; too large is the largest.
CircuitBreakers ServiceLimits(const api::Meta& meta);

}  // namespace contour::graph
