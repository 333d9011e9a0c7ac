// SPDX-License-Identifier: Apache-2.0
// Secret, v1. Of its data only the four keys below are kept, decoded from base64 (stringData is
// accepted from manifests).

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

// Could any object refer to it: type kubernetes.io/tls, or data with ca.crt or crl.pem. Of the
// others a source keeps nothing in memory.
bool IsUsable(const Secret& secret);

}  // namespace contour::api
