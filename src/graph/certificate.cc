// SPDX-License-Identifier: Apache-2.0

#include "graph/certificate.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <array>
#include <cstdint>
#include <ctime>
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

// Is the curve spelt out by its parameters instead of its name.
bool HasExplicitCurve(EVP_PKEY& key) {
  std::array<char, 16> encoding{};
  std::size_t length = 0;
  return EVP_PKEY_get_utf8_string_param(&key, OSSL_PKEY_PARAM_EC_ENCODING, encoding.data(),
                                        encoding.size(), &length) == 1 &&
         std::string_view(encoding.data(), length) == OSSL_PKEY_EC_ENCODING_EXPLICIT;
}

// BoringSSL, which Envoy is built with, takes RSA, Ed25519 and three named curves.
absl::Status CheckKeyType(EVP_PKEY& key) {
  switch (EVP_PKEY_base_id(&key)) {
    case EVP_PKEY_ED25519:
      return absl::OkStatus();
    case EVP_PKEY_RSA: {
      const int bits = EVP_PKEY_bits(&key);
      if (bits >= 2048 && bits <= 16384) return absl::OkStatus();
      return InvalidArgument("RSA key has {} bits, 2048 to 16384 are possible", bits);
    }
    case EVP_PKEY_EC: {
      std::array<char, 64> group{};
      std::size_t length = 0;
      if (EVP_PKEY_get_group_name(&key, group.data(), group.size(), &length) != 1) length = 0;
      const std::string_view name(group.data(), length);
      if (name == SN_X9_62_prime256v1 || name == SN_secp384r1 || name == SN_secp521r1) {
        if (!HasExplicitCurve(key)) return absl::OkStatus();
      }
      return InvalidArgument(
          "ECDSA key is on curve {}, only the named P-256, P-384 and P-521 are possible",
          Quote(name));
    }
    default:
      return InvalidArgument("private key is neither RSA nor ECDSA nor Ed25519");
  }
}

}  // namespace

absl::StatusOr<std::int64_t> CheckServingPair(std::string_view chain, std::string_view key_pem) {
  const ErrorQueueCleaner cleaner;
  CONTOUR_ASSIGN_OR_RETURN(const X509Ptr leaf, ReadCertificates(chain));
  CONTOUR_ASSIGN_OR_RETURN(const KeyPtr key, ReadKey(key_pem));
  if (X509_check_private_key(leaf.get(), key.get()) != 1) {
    return InvalidArgument("private key does not belong to the certificate");
  }
  CONTOUR_RETURN_IF_ERROR(CheckKeyType(*key));
  std::tm expiry{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(leaf.get()), &expiry) != 1) {
    return InvalidArgument("certificate has no valid time of expiry");
  }
  return std::int64_t{timegm(&expiry)};
}

absl::Status CheckTrustedCertificates(std::string_view pem) {
  const ErrorQueueCleaner cleaner;
  return ReadCertificates(pem).status();
}

}  // namespace contour::graph
