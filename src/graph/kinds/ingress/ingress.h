// SPDX-License-Identifier: Apache-2.0
// The functions of Ingress for its row (KindRow says what each is for). Of two Ingresses that ask
// for the same route the older one wins; within one Ingress a later rule or TLS block replaces an
// earlier one.

#pragma once

#include <string_view>
#include <vector>

#include "api/object.h"
#include "graph/engine/claim.h"
#include "graph/engine/derive.h"

namespace contour::graph::ingress {

HostParts Claims(const api::Object& object);
bool IsSameRoot(const api::Object& before, const api::Object& now);
bool IsSamePart(const api::Object& before, const HostPart& part_before, const api::Object& now,
                const HostPart& part_now, std::string_view host);
void Derive(const std::vector<Claim>& claims, Derivation& derivation);

}  // namespace contour::graph::ingress
