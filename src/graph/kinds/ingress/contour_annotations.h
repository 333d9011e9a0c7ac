// SPDX-License-Identifier: Apache-2.0
// What the annotations of an Ingress ask for, as Specs of the policies. They are written under
// projectcontour.io/ or contour.heptio.com/ unless a function says otherwise.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/object.h"
#include "graph/model/listener.h"
#include "graph/model/options.h"
#include "graph/model/route.h"
#include "graph/policy/retry.h"

namespace contour::graph::ingress {

// kubernetes.io/ingress.allow-http: true unless "false".
bool AllowHTTP(const api::Meta& meta);

// ingress.kubernetes.io/force-ssl-redirect: true only if "true".
bool ForceSSLRedirect(const api::Meta& meta);

// request-timeout (projectcontour.io/response-timeout goes first). What is no duration means
// infinite under contour.heptio.com/, and Envoy's default under projectcontour.io/.
std::optional<Timeout> RequestTimeout(const api::Meta& meta);

// retry-on, num-retries and per-try-timeout; nullopt without retry-on. Under contour.heptio.com/ a
// count that is not a positive number is left out (Envoy: 1); under projectcontour.io/ it is 1, and
// -1 means no retries. The texts live as long as the object.
std::optional<RetrySpec> RetrySpecOf(const api::Meta& meta);

// websocket-routes: paths exactly as in the rules.
std::vector<std::string> WebsocketRoutes(const api::Meta& meta);

// tls-minimum-protocol-version, raised to the configured minimum. What is written badly counts as
// the lowest that the prefix knows.
TLSVersion MinimumTLSVersionOf(const api::Meta& meta, const Options& options);

// projectcontour.io/tls-maximum-protocol-version, 1.2 or 1.3; whatever else is 1.3. There is none
// under contour.heptio.com/.
TLSVersion MaximumTLSVersionOf(const api::Meta& meta);

// projectcontour.io/tls-cert-namespace: the namespace of the Secrets that the Ingress names.
std::string TLSNamespace(const api::Meta& meta);

}  // namespace contour::graph::ingress
