// SPDX-License-Identifier: Apache-2.0
// Translates graph::ServingSecret into Envoy's Secret (envoy.extensions.transport_sockets.tls.v3),
// served by SDS.
//
// The result has a private key: it may go to Envoy and nowhere else, not into a log or a debug
// page.
//
// Pure, any thread, no errors.

#pragma once

#include <string>

#include "envoy/resource.h"
#include "graph/model/certificate.h"

namespace contour::envoy {

// Returns the resource with the name `name`: Names::Secret(), or OnDemandSecretName() of a host
// where Envoy asks for the secret by a client's server name.
Resource TranslateSecret(const graph::ServingSecret& secret, std::string name);

}  // namespace contour::envoy
