// SPDX-License-Identifier: Apache-2.0
// The functions of IngressRoute for its row (KindRow says what each is for): roots, delegation,
// TLS, TCP proxies, and the status of each object on the way.
//
// The walk of a root goes depth first along its routes. An error stops the object in which it was
// found, at that route; routes before it stay, and the objects above go on. The first status found
// for an object wins.

#pragma once

#include <vector>

#include "api/object.h"
#include "graph/engine/claim.h"
#include "graph/engine/derive.h"

namespace contour::graph::ingressroute {

// The host of a root with a blank fqdn is "".
HostParts Claims(const api::Object& object);
void Derive(const std::vector<Claim>& claims, Derivation& derivation);

}  // namespace contour::graph::ingressroute
