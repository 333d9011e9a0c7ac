// SPDX-License-Identifier: Apache-2.0

#include "graph/policy/delegation.h"

#include "api/tls_certificate_delegation.h"

namespace contour::graph {

bool DelegationPermits(Reader& reader, const std::string& ns, const std::string& name,
                       const std::string& target) {
  if (ns == target) return true;
  const IndexKey key{ns, name};
  constexpr api::Kind kKind = api::Kind::kTLSCertificateDelegation;
  return reader.IndexContains(kKind, key, "*") || reader.IndexContains(kKind, key, target);
}

std::vector<IndexEntry> DelegatedSecrets(const api::Object& delegation) {
  std::vector<IndexEntry> entries;
  for (const api::CertificateDelegation& entry :
       api::As<api::TLSCertificateDelegation>(delegation)->delegations) {
    // "*" counts only if it stands alone.
    const bool alone = entry.target_namespaces.size() == 1;
    for (const std::string& target : entry.target_namespaces) {
      if (target == "*" && !alone) continue;
      entries.push_back({{delegation.meta.ns, entry.secret_name}, target});
    }
  }
  return entries;
}

}  // namespace contour::graph
