// SPDX-License-Identifier: Apache-2.0
// TLSCertificateDelegations let namespaces use the Secrets of another.

#pragma once

#include <string>
#include <vector>

#include "api/object.h"
#include "graph/engine/index.h"
#include "graph/engine/reader.h"

namespace contour::graph {

// True if objects of namespace `target` may use Secret ns/name: the same namespace, or a
// TLSCertificateDelegation in `ns` that names the secret and lists the target (or exactly ["*"]).
bool DelegationPermits(Reader& reader, const std::string& ns, const std::string& name,
                       const std::string& target);

// Returns the namespaces that the TLSCertificateDelegation lists, by Secret; see KindRow::index.
std::vector<IndexEntry> DelegatedSecrets(const api::Object& delegation);

}  // namespace contour::graph
