// SPDX-License-Identifier: Apache-2.0

#include "certgen/authority.h"

#include <fmt/format.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <vector>

#include "base/status.h"
#include "crypto/checks.h"
#include "crypto/openssl.h"
#include "crypto/pem.h"

namespace contour::certgen {
namespace {

using crypto::CertificatePtr;
using crypto::ExtensionPtr;
using crypto::KeyPtr;
using crypto::NumberPtr;
using crypto::OpenSSLError;
using crypto::ReadCertificate;

constexpr unsigned kRSABits = 2048;

absl::StatusOr<KeyPtr> MakeKey(KeyType type) {
  KeyPtr key(type == KeyType::kRSA ? EVP_RSA_gen(kRSABits) : EVP_EC_gen("P-256"));
  if (key == nullptr) return OpenSSLError("can't make a key");
  return key;
}

absl::StatusOr<KeyPair> ToPem(X509& certificate, EVP_PKEY& key) {
  KeyPair pair;
  CONTOUR_ASSIGN_OR_RETURN(pair.certificate, crypto::WriteCertificate(certificate));
  CONTOUR_ASSIGN_OR_RETURN(pair.key, crypto::WritePrivateKey(key));
  return pair;
}

std::time_t ToTime(const ASN1_TIME* time) {
  std::tm fields{};
  ASN1_TIME_to_tm(time, &fields);
  return timegm(&fields);
}

bool Extend(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
}

// Sets a serial number of 127 random bits: none is used twice, and none can be guessed.
bool SetSerial(X509* certificate) {
  const NumberPtr number(BN_new());
  return number != nullptr &&
         BN_rand(number.get(), 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

// Returns a certificate without extensions, issuer and signature.
absl::StatusOr<CertificatePtr> Draft(const std::string& common_name, EVP_PKEY* key,
                                     const Terms& terms) {
  CertificatePtr certificate(X509_new());
  const auto* const name = reinterpret_cast<const unsigned char*>(common_name.c_str());
  if (certificate == nullptr || X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
      !SetSerial(certificate.get()) ||
      ASN1_TIME_set(X509_getm_notBefore(certificate.get()), terms.not_before) == nullptr ||
      ASN1_TIME_set(X509_getm_notAfter(certificate.get()), terms.not_after) == nullptr ||
      X509_set_pubkey(certificate.get(), key) != 1 ||
      X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                                 name, -1, -1, 0) != 1) {
    return OpenSSLError("can't make a certificate");
  }
  return certificate;
}

}  // namespace

absl::StatusOr<KeyPair> MakeAuthority(const Terms& terms) {
  CONTOUR_ASSIGN_OR_RETURN(const KeyPtr key, MakeKey(terms.key_type));
  CONTOUR_ASSIGN_OR_RETURN(const CertificatePtr certificate,
                           Draft("Project Contour", key.get(), terms));
  X509* const it = certificate.get();
  if (X509_set_issuer_name(it, X509_get_subject_name(it)) != 1 ||
      !Extend(it, it, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !Extend(it, it, NID_key_usage, "critical,digitalSignature,keyCertSign") ||
      !Extend(it, it, NID_subject_key_identifier, "hash") ||
      X509_sign(it, key.get(), EVP_sha256()) == 0) {
    return OpenSSLError("can't make a certificate");
  }
  return ToPem(*it, *key);
}

Leaf LeafFor(Role role, std::string_view ns) {
  Leaf leaf;
  leaf.common_name = role == Role::kContour ? "contour" : "envoy";
  leaf.serves = role == Role::kContour;
  const std::string& name = leaf.common_name;
  leaf.dns_names = {name, fmt::format("{}.{}", name, ns), fmt::format("{}.{}.svc", name, ns),
                    fmt::format("{}.{}.svc.cluster.local", name, ns)};
  return leaf;
}

absl::StatusOr<KeyPair> Sign(const KeyPair& authority, const Leaf& leaf, Terms terms) {
  CONTOUR_ASSIGN_OR_RETURN(const CertificatePtr issuer, ReadCertificate(authority.certificate));
  CONTOUR_ASSIGN_OR_RETURN(const KeyPtr issuer_key, crypto::ReadPrivateKey(authority.key));
  if (!crypto::IsKeyOf(*issuer, *issuer_key)) {
    return InvalidArgument("the CA's key does not belong to its certificate");
  }
  terms.not_after = std::min(terms.not_after, ToTime(X509_get0_notAfter(issuer.get())));
  CONTOUR_ASSIGN_OR_RETURN(const KeyPtr key, MakeKey(terms.key_type));
  CONTOUR_ASSIGN_OR_RETURN(const CertificatePtr certificate,
                           Draft(leaf.common_name, key.get(), terms));
  std::vector<std::string> names;
  for (const std::string& name : leaf.dns_names) names.push_back("DNS:" + name);
  // An RSA key may also decrypt the secret of a handshake without forward secrecy.
  const char* const usage = terms.key_type == KeyType::kRSA
                                ? "critical,digitalSignature,keyEncipherment"
                                : "critical,digitalSignature";
  X509* const it = certificate.get();
  if (X509_set_issuer_name(it, X509_get_subject_name(issuer.get())) != 1 ||
      !Extend(it, issuer.get(), NID_basic_constraints, "critical,CA:FALSE") ||
      !Extend(it, issuer.get(), NID_key_usage, usage) ||
      !Extend(it, issuer.get(), NID_ext_key_usage,
              leaf.serves ? "serverAuth,clientAuth" : "clientAuth") ||
      !Extend(it, issuer.get(), NID_subject_key_identifier, "hash") ||
      !Extend(it, issuer.get(), NID_authority_key_identifier, "keyid:always") ||
      !Extend(it, issuer.get(), NID_subject_alt_name, fmt::format("{}", fmt::join(names, ","))) ||
      X509_sign(it, issuer_key.get(), EVP_sha256()) == 0) {
    return OpenSSLError("can't make a certificate");
  }
  return ToPem(*it, *key);
}

absl::StatusOr<Validity> ReadValidity(std::string_view pem) {
  CONTOUR_ASSIGN_OR_RETURN(const CertificatePtr certificate, ReadCertificate(pem));
  return Validity{ToTime(X509_get0_notBefore(certificate.get())),
                  ToTime(X509_get0_notAfter(certificate.get()))};
}

bool NearsItsEnd(const Validity& validity, std::time_t now) {
  return validity.not_after - now < (validity.not_after - validity.not_before) / 3;
}

absl::Status CheckSignedBy(std::string_view authority_pem, std::string_view certificate_pem) {
  CONTOUR_ASSIGN_OR_RETURN(const CertificatePtr authority, ReadCertificate(authority_pem));
  CONTOUR_ASSIGN_OR_RETURN(const CertificatePtr certificate, ReadCertificate(certificate_pem));
  if (X509_check_issued(authority.get(), certificate.get()) == X509_V_OK &&
      X509_verify(certificate.get(), X509_get0_pubkey(authority.get())) == 1) {
    return absl::OkStatus();
  }
  ERR_clear_error();
  return FailedPrecondition("the certificate is not signed by that CA");
}

std::string TimeText(std::time_t time) {
  std::tm fields{};
  gmtime_r(&time, &fields);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", fields.tm_year + 1900,
                     fields.tm_mon + 1, fields.tm_mday, fields.tm_hour, fields.tm_min,
                     fields.tm_sec);
}

}  // namespace contour::certgen
