// SPDX-License-Identifier: Apache-2.0
// graph::ServingSecret → Envoy's Secret (envoy.extensions.transport_sockets.tls.v3), served by SDS.
//
// The result holds a private key: it goes to Envoy and nowhere else, not into a log or a debug
// page.
//
// Pure, any thread, no errors.

#pragma once

#include <string>

#include "envoy/resource.h"
#include "graph/model/model.h"

namespace contour::envoy {

// As a resource of the name `name`: that of Names::Secret(), or where a client's server name asks
// for it OnDemandSecretName() of a host.
Resource TranslateSecret(const graph::ServingSecret& secret, std::string name);

}  // namespace contour::envoy
