// SPDX-License-Identifier: Apache-2.0
// Checks of PEM text, which name what a TLS handshake would fail on before there is one.
//
// Example:
//   const PairProblem problem =
//       CheckPair("-----BEGIN CERTIFICATE-----…", "-----BEGIN PRIVATE KEY-----…");
//   if (!problem.key.ok()) return problem.key;  // "does not belong to the certificate"
//
// Functions of their arguments; any thread. No message has content of a key in it.

#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "crypto/openssl.h"

namespace contour::crypto {

// Checks that a PEM text has CERTIFICATE blocks, at least one, and that all are well formed.
// kNotFound: there is none; kInvalidArgument: what is wrong.
absl::Status CheckCertificates(std::string_view pem);

// Holds what is wrong with `certificate` or, if that is good, with `key`.
struct PairProblem {
  absl::Status certificate;
  absl::Status key;
};
// Checks that OpenSSL serves TLS with a chain of certificates, the leaf first, and the private key
// of the leaf.
PairProblem CheckPair(std::string_view certificate, std::string_view key);

// True if `key` is the private key of the certificate.
bool IsKeyOf(const X509& certificate, const EVP_PKEY& key);

// True if a client that asks for the DNS name `name` takes the first certificate of a PEM text for
// its server's.
bool HasDNSName(std::string_view pem, const std::string& name);

}  // namespace contour::crypto
