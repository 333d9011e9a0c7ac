// SPDX-License-Identifier: Apache-2.0
// Serving certificates, and the checks of certificates and keys before Envoy sees them (OpenSSL): a
// secret that Envoy would refuse must not get there. Pure: whether a certificate has expired is not
// judged here (an expired one is served).

#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace contour::graph {

// A serving certificate, checked: both parse and match.
struct ServingSecret {
  std::string ns;
  std::string name;
  std::string certificate_chain;  // PEM
  std::string private_key;        // PEM; never in a log
  // When the leaf expires, in seconds since 1970. Whether that is past is for those who have a
  // clock: an expired certificate is served all the same. It follows from the chain.
  std::int64_t not_after = 0;

  auto operator<=>(const ServingSecret&) const = default;
};
using ServingSecretPtr = std::shared_ptr<const ServingSecret>;

// Checks a serving pair and gives the time at which its leaf expires, in seconds since 1970.
// `chain` holds CERTIFICATE blocks only, the first being the leaf; `key` exactly one private key
// (PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY; EC PARAMETERS are skipped) that belongs to the
// leaf. Texts of Contour 0.15.2: `failed to parse PEM block`, `unexpected block type in
// certificate: X`, `failed to locate certificate`, `unexpected block type in private key: X`,
// `failed to locate private key`, `multiple private keys`; and ours for what parses as PEM but is
// no certificate or key, for a pair that doesn't match, and for what OpenSSL takes and Envoy's
// BoringSSL doesn't: PEM headers, a byte order mark, versions, times without seconds, numbers of a
// key that don't belong together, a label that isn't that of the content, an ECDSA leaf that may
// not sign, a leaf without names, must-staple. Left to Envoy, and to the quarantine of src/xds, is
// what no tool writes (tests/e2e/test_refusals.py has the list).
absl::StatusOr<std::int64_t> CheckServingPair(std::string_view chain, std::string_view key);

// Trusted certificates: CERTIFICATE blocks only, at least one, each of a form that Envoy takes.
absl::Status CheckTrustedCertificates(std::string_view pem);

}  // namespace contour::graph
