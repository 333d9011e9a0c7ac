// SPDX-License-Identifier: Apache-2.0

#include "crypto/checks.h"

#include <fmt/format.h>
#include <openssl/ssl.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "base/status.h"
#include "crypto/pem.h"

namespace contour::crypto {
namespace {

using TLSContextPtr = std::unique_ptr<SSL_CTX, Deleter<SSL_CTX_free>>;

}  // namespace

absl::Status CheckCertificates(std::string_view pem) { return ReadCertificates(pem).status(); }

PairProblem CheckPair(std::string_view certificate, std::string_view key) {
  const absl::StatusOr<std::vector<CertificatePtr>> chain = ReadCertificates(certificate);
  if (!chain.ok()) return {chain.status(), absl::OkStatus()};
  const TLSContextPtr context(SSL_CTX_new(TLS_server_method()));
  if (context == nullptr) return {OpenSSLError("can't check"), absl::OkStatus()};
  if (SSL_CTX_use_certificate(context.get(), chain->front().get()) != 1) {
    return {OpenSSLError("can't be served"), absl::OkStatus()};
  }
  for (std::size_t i = 1; i < chain->size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context.get(), (*chain)[i].get()) != 1) {
      return {OpenSSLError(fmt::format("certificate {} can't be served", i + 1)), absl::OkStatus()};
    }
  }
  const absl::StatusOr<KeyPtr> private_key = ReadPrivateKey(key);
  if (!private_key.ok()) return {absl::OkStatus(), private_key.status()};
  if (!IsKeyOf(*chain->front(), **private_key)) {
    return {absl::OkStatus(), InvalidArgument("does not belong to the certificate")};
  }
  if (SSL_CTX_use_PrivateKey(context.get(), private_key->get()) != 1) {
    return {absl::OkStatus(), OpenSSLError("can't be used")};
  }
  return {};
}

bool IsKeyOf(const X509& certificate, const EVP_PKEY& key) {
  const ErrorQueueGuard guard;
  return X509_check_private_key(&certificate, &key) == 1;
}

bool HasDNSName(std::string_view pem, const std::string& name) {
  const absl::StatusOr<CertificatePtr> certificate = ReadCertificate(pem);
  return certificate.ok() && X509_check_host(certificate->get(), name.data(), name.size(),
                                             X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, nullptr) == 1;
}

}  // namespace contour::crypto
