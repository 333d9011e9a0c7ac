// SPDX-License-Identifier: Apache-2.0

#include "graph/certificate.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <utility>

#include "base/status.h"
#include "base/strings.h"

namespace contour::graph {
namespace {

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
using BioPtr = std::unique_ptr<BIO, Deleter<BIO_free_all>>;
using X509Ptr = std::unique_ptr<X509, Deleter<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;

// OpenSSL keeps a queue of errors per thread; what we caused must not surface in another's call.
struct ErrorQueueCleaner {
  ~ErrorQueueCleaner() { ERR_clear_error(); }
};

// Calls `visit(type, der)` for each PEM block.
absl::Status ForEachBlock(
    std::string_view pem,
    const std::function<absl::Status(std::string_view, std::string_view)>& visit) {
  if (pem.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    return InvalidArgument("failed to parse PEM block");
  }
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  std::size_t blocks = 0;
  while (true) {
    char* type = nullptr;
    char* header = nullptr;
    unsigned char* data = nullptr;
    long length = 0;  // NOLINT(google-runtime-int): OpenSSL's type
    if (PEM_read_bio(bio.get(), &type, &header, &data, &length) != 1) {
      const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
      if (at_end && blocks > 0) return absl::OkStatus();
      return InvalidArgument("failed to parse PEM block");
    }
    ++blocks;
    const absl::Status status = visit(type, std::string_view(reinterpret_cast<const char*>(data),
                                                             static_cast<std::size_t>(length)));
    OPENSSL_free(type);
    OPENSSL_free(header);
    OPENSSL_clear_free(data, static_cast<std::size_t>(length));
    CONTOUR_RETURN_IF_ERROR(status);
  }
}

X509Ptr ParseCertificate(std::string_view der) {
  const auto* data = reinterpret_cast<const unsigned char*>(der.data());
  return X509Ptr(
      d2i_X509(nullptr, &data, static_cast<long>(der.size())));  // NOLINT(google-runtime-int)
}

// Reads CERTIFICATE blocks; gives the first.
absl::StatusOr<X509Ptr> ReadCertificates(std::string_view pem) {
  X509Ptr first;
  std::size_t number = 0;
  CONTOUR_RETURN_IF_ERROR(ForEachBlock(pem, [&](std::string_view type, std::string_view der) {
    ++number;
    if (type != "CERTIFICATE")
      return InvalidArgument("unexpected block type in certificate: {}", type);
    X509Ptr certificate = ParseCertificate(der);
    if (certificate == nullptr)
      return InvalidArgument("certificate {} of the chain does not parse", number);
    if (first == nullptr) first = std::move(certificate);
    return absl::OkStatus();
  }));
  if (first == nullptr) return InvalidArgument("failed to locate certificate");
  return first;
}

absl::StatusOr<KeyPtr> ReadKey(std::string_view pem) {
  KeyPtr key;
  CONTOUR_RETURN_IF_ERROR(ForEachBlock(pem, [&](std::string_view type, std::string_view der) {
    if (type == "EC PARAMETERS") return absl::OkStatus();
    if (type != "PRIVATE KEY" && type != "RSA PRIVATE KEY" && type != "EC PRIVATE KEY") {
      return InvalidArgument("unexpected block type in private key: {}", type);
    }
    if (key != nullptr) return InvalidArgument("multiple private keys");
    const auto* data = reinterpret_cast<const unsigned char*>(der.data());
    key.reset(d2i_AutoPrivateKey(nullptr, &data,
                                 static_cast<long>(der.size())));  // NOLINT(google-runtime-int)
    if (key == nullptr) return InvalidArgument("private key does not parse");
    return absl::OkStatus();
  }));
  if (key == nullptr) return InvalidArgument("failed to locate private key");
  return key;
}

}  // namespace

absl::Status CheckServingPair(std::string_view chain, std::string_view key_pem) {
  const ErrorQueueCleaner cleaner;
  CONTOUR_ASSIGN_OR_RETURN(const X509Ptr leaf, ReadCertificates(chain));
  CONTOUR_ASSIGN_OR_RETURN(const KeyPtr key, ReadKey(key_pem));
  if (X509_check_private_key(leaf.get(), key.get()) != 1) {
    return InvalidArgument("private key does not belong to the certificate");
  }
  // BoringSSL, which Envoy is built with, takes RSA and the three NIST curves and refuses short RSA
  // keys.
  const int type = EVP_PKEY_base_id(key.get());
  if (type != EVP_PKEY_RSA && type != EVP_PKEY_EC) {
    return InvalidArgument("private key is neither RSA nor ECDSA");
  }
  if (type == EVP_PKEY_RSA && EVP_PKEY_bits(key.get()) < 2048) {
    return InvalidArgument("RSA key has {} bits, at least 2048 are needed",
                           EVP_PKEY_bits(key.get()));
  }
  return absl::OkStatus();
}

absl::Status CheckTrustedCertificates(std::string_view pem) {
  const ErrorQueueCleaner cleaner;
  return ReadCertificates(pem).status();
}

}  // namespace contour::graph
