// SPDX-License-Identifier: Apache-2.0
// TLSCertificateDelegation, contour.heptio.com/v1beta1: lets other namespaces use Secrets of this
// one.

#pragma once

#include <string>
#include <vector>

#include "api/object.h"

namespace contour::api {

struct CertificateDelegation {
  std::string secret_name;
  std::vector<std::string> target_namespaces;  // exactly ["*"]: all

  bool operator==(const CertificateDelegation&) const = default;
};

struct TLSCertificateDelegation : Object {
  static constexpr Kind kKind = Kind::kTLSCertificateDelegation;
  TLSCertificateDelegation() : Object(kKind) {}

  std::vector<CertificateDelegation> delegations;
};

}  // namespace contour::api
