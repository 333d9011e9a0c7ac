// SPDX-License-Identifier: Apache-2.0

#include "graph/model/certificate.h"

#include <openssl/core_names.h>
#include <openssl/objects.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <ctime>
#include <optional>
#include <utility>

#include "base/status.h"
#include "base/strings.h"
#include "crypto/checks.h"
#include "crypto/openssl.h"
#include "crypto/pem.h"

namespace contour::graph {
namespace {

using crypto::BitStringPtr;
using crypto::CertificatePtr;
using crypto::ErrorQueueGuard;
using crypto::ForEachPemBlock;
using crypto::GeneralNamesPtr;
using crypto::KeyContextPtr;
using crypto::KeyPtr;
using crypto::NumberContextPtr;
using crypto::NumberPtr;
using crypto::ParseCertificate;
using crypto::PKCS8Ptr;

// True if BoringSSL takes the time: with seconds, and without fractions of them.
bool IsTime(const ASN1_TIME* time) {
  if (ASN1_TIME_check(time) != 1) return false;
  const std::string_view text(reinterpret_cast<const char*>(ASN1_STRING_get0_data(time)),
                              static_cast<std::size_t>(ASN1_STRING_length(time)));
  const std::size_t digits = ASN1_STRING_type(time) == V_ASN1_UTCTIME ? 12 : 14;
  return text.find_first_not_of("0123456789") == digits && text[digits] != '.';
}

// Checks what BoringSSL requires of every certificate and OpenSSL doesn't.
absl::Status CheckForm(const X509& certificate) {
  const auto version = X509_get_version(&certificate);  // counted from 0
  if (version < X509_VERSION_1 || version > X509_VERSION_3) {
    return InvalidArgument("has version {}, 1 to 3 are possible", version + 1);
  }
  if (version != X509_VERSION_3 && X509_get_ext_count(&certificate) > 0) {
    return InvalidArgument("has extensions but version {}; only version 3 may have them",
                           version + 1);
  }
  if (!IsTime(X509_get0_notBefore(&certificate)) || !IsTime(X509_get0_notAfter(&certificate))) {
    return InvalidArgument("has a time of validity that is not like 20260101000000Z, with seconds");
  }
  return absl::OkStatus();
}

// Reads CERTIFICATE blocks, and returns the first.
absl::StatusOr<CertificatePtr> ReadCertificates(std::string_view pem) {
  CertificatePtr first;
  std::size_t number = 0;
  CONTOUR_RETURN_IF_ERROR(ForEachPemBlock(pem, [&](std::string_view type, std::string_view der) {
    ++number;
    if (type != "CERTIFICATE")
      return InvalidArgument("unexpected block type in certificate: {}", type);
    CertificatePtr certificate = ParseCertificate(der);
    if (certificate == nullptr)
      return InvalidArgument("certificate {} of the chain does not parse", number);
    if (const absl::Status status = CheckForm(*certificate); !status.ok())
      return InvalidArgument("certificate {} of the chain {}", number, Message(status));
    if (first == nullptr) first = std::move(certificate);
    return absl::OkStatus();
  }));
  if (first == nullptr) return InvalidArgument("failed to locate certificate");
  return first;
}

// Returns the first element of a sequence if it is an integer of one byte: the version.
std::optional<int> VersionOf(std::string_view der) {
  if (der.size() < 2 || der[0] != '\x30') return std::nullopt;
  const auto length = static_cast<unsigned char>(der[1]);
  der.remove_prefix(std::min<std::size_t>(der.size(), length < 0x80 ? 2 : 2 + (length & 0x7fU)));
  if (!der.starts_with(std::string_view("\x02\x01", 2)) || der.size() < 3) return std::nullopt;
  return static_cast<unsigned char>(der[2]);
}

// Returns the key of a block whose label says what is in it, which Envoy believes.
KeyPtr ParseKey(std::string_view type, std::string_view der) {
  const auto* data = reinterpret_cast<const unsigned char*>(der.data());
  const auto length = static_cast<long>(der.size());  // NOLINT(google-runtime-int): OpenSSL's type
  if (type == "PRIVATE KEY") {
    const PKCS8Ptr wrapped(d2i_PKCS8_PRIV_KEY_INFO(nullptr, &data, length));
    return wrapped == nullptr ? nullptr : KeyPtr(EVP_PKCS82PKEY(wrapped.get()));
  }
  KeyPtr key(d2i_AutoPrivateKey(nullptr, &data, length));
  const int wanted = type == "RSA PRIVATE KEY" ? EVP_PKEY_RSA : EVP_PKEY_EC;
  if (key != nullptr && EVP_PKEY_base_id(key.get()) != wanted) key.reset();
  return key;
}

absl::StatusOr<KeyPtr> ReadKey(std::string_view pem) {
  KeyPtr key;
  CONTOUR_RETURN_IF_ERROR(ForEachPemBlock(pem, [&](std::string_view type, std::string_view der) {
    if (type == "EC PARAMETERS") return absl::OkStatus();
    if (type != "PRIVATE KEY" && type != "RSA PRIVATE KEY" && type != "EC PRIVATE KEY") {
      return InvalidArgument("unexpected block type in private key: {}", type);
    }
    if (key != nullptr) return InvalidArgument("multiple private keys");
    key = ParseKey(type, der);
    if (key == nullptr) return InvalidArgument("private key does not parse");
    if (type != "EC PRIVATE KEY" && VersionOf(der).value_or(0) != 0) {
      return InvalidArgument(
          "private key has version {}, only 0 is possible: no public key beside it (PKCS#8), two "
          "primes (RSA)",
          *VersionOf(der));
    }
    return absl::OkStatus();
  }));
  if (key == nullptr) return InvalidArgument("failed to locate private key");
  return key;
}

// True if the curve is given by its parameters instead of its name.
bool HasExplicitCurve(EVP_PKEY& key) {
  std::array<char, 16> encoding{};
  std::size_t length = 0;
  return EVP_PKEY_get_utf8_string_param(&key, OSSL_PKEY_PARAM_EC_ENCODING, encoding.data(),
                                        encoding.size(), &length) == 1 &&
         std::string_view(encoding.data(), length) == OSSL_PKEY_EC_ENCODING_EXPLICIT;
}

NumberPtr Number(const EVP_PKEY& key, const char* name) {
  BIGNUM* number = nullptr;
  EVP_PKEY_get_bn_param(&key, name, &number);
  return NumberPtr(number);
}

// True if the numbers of an RSA key fit each other. It doesn't check that the primes are prime,
// which would take long.
bool IsConsistent(const EVP_PKEY& key) {
  const NumberPtr n = Number(key, OSSL_PKEY_PARAM_RSA_N);
  const NumberPtr e = Number(key, OSSL_PKEY_PARAM_RSA_E);
  const NumberPtr d = Number(key, OSSL_PKEY_PARAM_RSA_D);
  const NumberPtr p = Number(key, OSSL_PKEY_PARAM_RSA_FACTOR1);
  const NumberPtr q = Number(key, OSSL_PKEY_PARAM_RSA_FACTOR2);
  const NumberPtr dp = Number(key, OSSL_PKEY_PARAM_RSA_EXPONENT1);
  const NumberPtr dq = Number(key, OSSL_PKEY_PARAM_RSA_EXPONENT2);
  const NumberPtr inverse = Number(key, OSSL_PKEY_PARAM_RSA_COEFFICIENT1);
  for (const NumberPtr* number : {&n, &e, &d, &p, &q, &dp, &dq, &inverse}) {
    if (*number == nullptr || BN_is_zero(number->get())) return false;
  }
  const NumberContextPtr context(BN_CTX_new());
  const NumberPtr product(BN_new());
  const NumberPtr order(BN_new());  // p - 1, then q - 1
  const auto is_one = [&](const BIGNUM* a, const BIGNUM* b, const BIGNUM* modulus) {
    return BN_mod_mul(product.get(), a, b, modulus, context.get()) == 1 && BN_is_one(product.get());
  };
  const auto fits = [&](const BIGNUM* prime, const BIGNUM* exponent) {
    return BN_sub(order.get(), prime, BN_value_one()) == 1 && !BN_is_zero(order.get()) &&
           BN_cmp(exponent, prime) < 0 && is_one(e.get(), d.get(), order.get()) &&
           is_one(e.get(), exponent, order.get());
  };
  return BN_mul(product.get(), p.get(), q.get(), context.get()) == 1 &&
         BN_cmp(product.get(), n.get()) == 0 && BN_cmp(d.get(), n.get()) < 0 &&
         fits(p.get(), dp.get()) && fits(q.get(), dq.get()) && BN_cmp(inverse.get(), p.get()) < 0 &&
         is_one(inverse.get(), q.get(), p.get());
}

// True if the public point belongs to the private number.
bool IsPairOfCurve(EVP_PKEY& key) {
  const KeyContextPtr context(EVP_PKEY_CTX_new(&key, nullptr));
  return context != nullptr && EVP_PKEY_private_check(context.get()) == 1 &&
         EVP_PKEY_pairwise_check(context.get()) == 1;
}

// BoringSSL, which Envoy is built with, takes RSA, Ed25519 and three named curves.
absl::Status CheckKeyType(EVP_PKEY& key) {
  switch (EVP_PKEY_base_id(&key)) {
    case EVP_PKEY_ED25519:
      return absl::OkStatus();
    case EVP_PKEY_RSA: {
      const int bits = EVP_PKEY_bits(&key);
      if (bits < 2048 || bits > 16384)
        return InvalidArgument("RSA key has {} bits, 2048 to 16384 are possible", bits);
      if (IsConsistent(key)) return absl::OkStatus();
      return InvalidArgument("the numbers of the RSA key do not belong together");
    }
    case EVP_PKEY_EC: {
      std::array<char, 64> group{};
      std::size_t length = 0;
      if (EVP_PKEY_get_group_name(&key, group.data(), group.size(), &length) != 1) length = 0;
      const std::string_view name(group.data(), length);
      if (name == SN_X9_62_prime256v1 || name == SN_secp384r1 || name == SN_secp521r1) {
        if (!HasExplicitCurve(key)) {
          if (IsPairOfCurve(key)) return absl::OkStatus();
          return InvalidArgument("the two halves of the ECDSA key do not belong together");
        }
      }
      return InvalidArgument(
          "ECDSA key is on curve {}, only the named P-256, P-384 and P-521 are possible",
          Quote(name));
    }
    default:
      return InvalidArgument("private key is neither RSA nor ECDSA nor Ed25519");
  }
}

// True if an ECDSA key may sign for a server. Envoy doesn't ask this of other keys.
bool MaySign(const X509& leaf) {
  const int index = X509_get_ext_by_NID(&leaf, NID_key_usage, -1);
  if (index < 0) return true;
  const BitStringPtr usage(
      static_cast<ASN1_BIT_STRING*>(X509V3_EXT_d2i(X509_get_ext(&leaf, index))));
  return usage != nullptr && ASN1_BIT_STRING_get_bit(usage.get(), 0) == 1;
}

// True if the certificate has a name by which Envoy distinguishes its sessions: a common name, or
// else one of three kinds of alternative names. A common name must not be empty.
absl::Status CheckNames(const X509& leaf) {
  const X509_NAME* subject = X509_get_subject_name(&leaf);
  if (const int index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1); index >= 0) {
    const X509_NAME_ENTRY* entry = X509_NAME_get_entry(subject, index);
    if (ASN1_STRING_length(X509_NAME_ENTRY_get_data(entry)) > 0) return absl::OkStatus();
    return InvalidArgument("certificate has an empty common name");
  }
  const GeneralNamesPtr names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(&leaf, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const int type = sk_GENERAL_NAME_value(names.get(), i)->type;
    if (type == GEN_DNS || type == GEN_URI || type == GEN_IPADD) return absl::OkStatus();
  }
  return InvalidArgument(
      "certificate names nobody: neither a common name nor a DNS name, URI or IP address");
}

// True if the certificate requires an OCSP response, which contour doesn't have (RFC 7633).
bool MustStaple(const X509& leaf) {
  constexpr std::string_view kStatusRequest("\x30\x03\x02\x01\x05", 5);
  const int index = X509_get_ext_by_NID(&leaf, NID_tlsfeature, -1);
  if (index < 0) return false;
  const ASN1_OCTET_STRING* value = X509_EXTENSION_get_data(X509_get_ext(&leaf, index));
  return std::string_view(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
                          static_cast<std::size_t>(ASN1_STRING_length(value))) == kStatusRequest;
}

// Checks what Envoy requires of the certificate that it serves.
absl::Status CheckLeaf(const X509& leaf, const EVP_PKEY& key) {
  CONTOUR_RETURN_IF_ERROR(CheckNames(leaf));
  if (MustStaple(leaf)) {
    return InvalidArgument(
        "certificate demands a stapled OCSP response (must-staple), which can't be served; have it "
        "issued without");
  }
  if (EVP_PKEY_base_id(&key) == EVP_PKEY_EC && !MaySign(leaf)) {
    return InvalidArgument(
        "keyUsage of the certificate lacks digitalSignature, which an ECDSA key needs");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::int64_t> CheckServingPair(std::string_view chain, std::string_view key_pem) {
  const ErrorQueueGuard guard;
  CONTOUR_ASSIGN_OR_RETURN(const CertificatePtr leaf, ReadCertificates(chain));
  CONTOUR_ASSIGN_OR_RETURN(const KeyPtr key, ReadKey(key_pem));
  if (!crypto::IsKeyOf(*leaf, *key)) {
    return InvalidArgument("private key does not belong to the certificate");
  }
  CONTOUR_RETURN_IF_ERROR(CheckKeyType(*key));
  CONTOUR_RETURN_IF_ERROR(CheckLeaf(*leaf, *key));
  std::tm expiry{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(leaf.get()), &expiry) != 1) {
    return InvalidArgument("certificate has no valid time of expiry");
  }
  return std::int64_t{timegm(&expiry)};
}

absl::Status CheckTrustedCertificates(std::string_view pem) {
  const ErrorQueueGuard guard;
  return ReadCertificates(pem).status();
}

}  // namespace contour::graph
