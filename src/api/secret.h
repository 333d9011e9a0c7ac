// SPDX-License-Identifier: Apache-2.0
// Secret, v1. Only the four keys below are kept of its data, decoded from base64. Manifests may
// give them by stringData.

#pragma once

#include <string>

#include "api/object.h"

namespace contour::api {

struct Secret : Object {
  static constexpr Kind kKind = Kind::kSecret;
  Secret() : Object(kKind) {}

  std::string type;     // kubernetes.io/tls, Opaque, …
  std::string tls_crt;  // PEM; certificate chain
  std::string tls_key;  // PEM; private key
  std::string ca_crt;   // PEM; trusted certificates
  std::string crl_pem;  // PEM; revocation lists
};

// True if an object could refer to the Secret: it is of type kubernetes.io/tls, or has ca.crt or
// crl.pem. Sources don't keep other Secrets in memory.
bool IsUsable(const Secret& secret);

}  // namespace contour::api
