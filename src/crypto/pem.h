// SPDX-License-Identifier: Apache-2.0
// Reads and writes certificates and private keys as PEM text.
//
// Example:
//   const std::string text = "-----BEGIN CERTIFICATE-----…";
//   const auto certificate = ReadCertificate(text);
//   if (!certificate.ok()) return certificate.status();  // "no certificate in PEM: no start line"
//
// Results depend on the arguments only; any thread. The functions leave OpenSSL's queue of errors
// empty. No error message has content of a key. None asks for a password: an encrypted key is an
// error.

#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "crypto/openssl.h"

namespace contour::crypto {

// Returns the first certificate of a text, or kInvalidArgument.
absl::StatusOr<CertificatePtr> ReadCertificate(std::string_view pem);

// Returns all certificates of a text, at least one. kNotFound: there is none; kInvalidArgument: one
// is malformed, the message says which.
absl::StatusOr<std::vector<CertificatePtr>> ReadCertificates(std::string_view pem);

// Returns the first private key of a text, or kInvalidArgument.
absl::StatusOr<KeyPtr> ReadPrivateKey(std::string_view pem);

absl::StatusOr<std::string> WriteCertificate(X509& certificate);
// Writes PKCS #8 (`PRIVATE KEY`), not encrypted.
absl::StatusOr<std::string> WritePrivateKey(EVP_PKEY& key);

// Calls `visit(type, der)` for each PEM block of a text, at least one, until `visit` returns an
// error; returns that error. It is as strict as BoringSSL, with which Envoy is built:
// kInvalidArgument if a block can't be read or has headers, or if the text starts with a byte order
// mark.
absl::Status ForEachPemBlock(
    std::string_view pem,
    const std::function<absl::Status(std::string_view type, std::string_view der)>& visit);

// Returns the certificate that `der` encodes, or nullptr.
CertificatePtr ParseCertificate(std::string_view der);

}  // namespace contour::crypto
