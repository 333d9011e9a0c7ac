// SPDX-License-Identifier: Apache-2.0
// The annotations of an Ingress, as Specs or values of policies. They are written under
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

// True unless kubernetes.io/ingress.allow-http is "false".
bool AllowHTTP(const api::Meta& meta);

// True if ingress.kubernetes.io/force-ssl-redirect is "true".
bool ForceSSLRedirect(const api::Meta& meta);

// Reads request-timeout (projectcontour.io/response-timeout goes first). A text that is no duration
// means infinite under contour.heptio.com/, and Envoy's default under projectcontour.io/.
std::optional<Timeout> RequestTimeout(const api::Meta& meta);

// Reads retry-on, num-retries and per-try-timeout; nullopt without retry-on. Under
// contour.heptio.com/ a count that is not a positive number is left out (Envoy: 1); under
// projectcontour.io/ it is 1, and -1 means no retries. The texts live as long as the object.
std::optional<RetrySpec> RetrySpecOf(const api::Meta& meta);

// Reads websocket-routes: paths exactly as in the rules.
std::vector<std::string> WebsocketRoutes(const api::Meta& meta);

// Reads tls-minimum-protocol-version and raises it to the configured minimum. A text that is no
// version counts as the lowest that the prefix knows.
TLSVersion MinimumTLSVersionOf(const api::Meta& meta, const Options& options);

// Reads projectcontour.io/tls-maximum-protocol-version, 1.2 or 1.3; anything else is 1.3. There is
// none under contour.heptio.com/.
TLSVersion MaximumTLSVersionOf(const api::Meta& meta);

// Returns the namespace of the Secrets that the Ingress names, by
// projectcontour.io/tls-cert-namespace, its own if absent.
std::string TLSNamespace(const api::Meta& meta);

}  // namespace contour::graph::ingress
