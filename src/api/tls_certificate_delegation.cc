// SPDX-License-Identifier: Apache-2.0

#include "api/tls_certificate_delegation.h"

#include "api/json_reader.h"
#include "api/kinds.h"

namespace contour::api {

void Read(JsonReader& reader, TLSCertificateDelegation* object) {
  reader.Object("spec", [&] {
    reader.Each("delegations", &object->delegations, [&](CertificateDelegation& delegation) {
      reader.String("secretName", &delegation.secret_name);
      reader.Strings("targetNamespaces", &delegation.target_namespaces);
    });
  });
}

bool SameSpec(const TLSCertificateDelegation& a, const TLSCertificateDelegation& b) {
  return a.delegations == b.delegations;
}

}  // namespace contour::api
