// SPDX-License-Identifier: Apache-2.0
// Checks PEM text for faults at which a TLS handshake would fail later.
//
// Example:
//   const PairProblem problem =
//       CheckPair("-----BEGIN CERTIFICATE-----…", "-----BEGIN PRIVATE KEY-----…");
//   if (!problem.key.ok()) return problem.key;  // "does not belong to the certificate"
//
// Results depend on the arguments only; any thread. No message has content of a key.

#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "crypto/openssl.h"

namespace contour::crypto {

// Checks that a PEM text has at least one CERTIFICATE block, and that all are well formed.
// kNotFound: there is none. kInvalidArgument has the fault.
absl::Status CheckCertificates(std::string_view pem);

// The fault of `certificate` or, if that is good, of `key`.
struct PairProblem {
  absl::Status certificate;
  absl::Status key;
};
// Checks that OpenSSL serves TLS with a chain of certificates, the leaf first, and the private key
// of the leaf.
PairProblem CheckPair(std::string_view certificate, std::string_view key);

// True if `key` is the private key of the certificate.
bool IsKeyOf(const X509& certificate, const EVP_PKEY& key);

// True if a client that expects the DNS name `name` accepts the first certificate of a PEM text.
bool HasDNSName(std::string_view pem, const std::string& name);

}  // namespace contour::crypto
