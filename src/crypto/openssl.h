// SPDX-License-Identifier: Apache-2.0
// Owning pointers to OpenSSL's objects, and OpenSSL's errors as statuses.
//
// Example:
//   const CertificatePtr certificate(X509_new());
//   if (certificate == nullptr) return OpenSSLError("can't make a certificate");
//
// Only rooms that call OpenSSL themselves include this header; the others find what they need in
// pem.h, checks.h and digest.h.

#pragma once

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string_view>

#include "absl/status/status.h"

namespace contour::crypto {

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};

using BioPtr = std::unique_ptr<BIO, Deleter<BIO_free_all>>;
using CertificatePtr = std::unique_ptr<X509, Deleter<X509_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, Deleter<X509_EXTENSION_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using KeyContextPtr = std::unique_ptr<EVP_PKEY_CTX, Deleter<EVP_PKEY_CTX_free>>;
using PKCS8Ptr = std::unique_ptr<PKCS8_PRIV_KEY_INFO, Deleter<PKCS8_PRIV_KEY_INFO_free>>;
using BitStringPtr = std::unique_ptr<ASN1_BIT_STRING, Deleter<ASN1_BIT_STRING_free>>;
using GeneralNamesPtr = std::unique_ptr<GENERAL_NAMES, Deleter<GENERAL_NAMES_free>>;
using NumberPtr = std::unique_ptr<BIGNUM, Deleter<BN_clear_free>>;
using NumberContextPtr = std::unique_ptr<BN_CTX, Deleter<BN_CTX_free>>;

// Empties OpenSSL's queue of errors when it goes out of scope. OpenSSL keeps one queue per thread;
// an error that is left there would surface in the next caller's check.
class ErrorQueueGuard {
 public:
  ErrorQueueGuard() = default;
  ~ErrorQueueGuard() { ERR_clear_error(); }
  ErrorQueueGuard(const ErrorQueueGuard&) = delete;
  ErrorQueueGuard& operator=(const ErrorQueueGuard&) = delete;
};

// Returns kInvalidArgument with `what` and the reason of OpenSSL's latest error, and empties the
// queue of errors.
absl::Status OpenSSLError(std::string_view what);

}  // namespace contour::crypto
