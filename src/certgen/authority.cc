// SPDX-License-Identifier: Apache-2.0

#include "certgen/authority.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "base/status.h"

namespace contour::certgen {
namespace {

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* value) const {
    Free(value);
  }
};
using Bio = std::unique_ptr<BIO, Deleter<BIO_free>>;
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Deleter<X509_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Deleter<X509_EXTENSION_free>>;
using Number = std::unique_ptr<BIGNUM, Deleter<BN_free>>;
using Context = std::unique_ptr<SSL_CTX, Deleter<SSL_CTX_free>>;

constexpr unsigned kRSABits = 2048;

// What OpenSSL says of the last failure.
absl::Status Failure(std::string_view what) {
  const char* const reason = ERR_reason_error_string(ERR_peek_last_error());
  absl::Status status = InvalidArgument("{}: {}", what, reason != nullptr ? reason : "failed");
  ERR_clear_error();
  return status;
}

absl::StatusOr<Key> MakeKey(KeyType type) {
  Key key(type == KeyType::kRSA ? EVP_RSA_gen(kRSABits) : EVP_EC_gen("P-256"));
  if (key == nullptr) return Failure("can't make a key");
  return key;
}

std::string Text(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

absl::StatusOr<KeyPair> ToPem(X509* certificate, EVP_PKEY* key) {
  const Bio certificate_bio(BIO_new(BIO_s_mem()));
  const Bio key_bio(BIO_new(BIO_s_secmem()));
  if (certificate_bio == nullptr || key_bio == nullptr ||
      PEM_write_bio_X509(certificate_bio.get(), certificate) != 1 ||
      PEM_write_bio_PKCS8PrivateKey(key_bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) !=
          1) {
    return Failure("can't write PEM");
  }
  return KeyPair{Text(certificate_bio.get()), Text(key_bio.get())};
}

Bio Reader(std::string_view pem) {
  return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

absl::StatusOr<Certificate> ReadCertificate(std::string_view pem) {
  Certificate certificate(PEM_read_bio_X509(Reader(pem).get(), nullptr, nullptr, nullptr));
  if (certificate == nullptr) return Failure("no certificate in PEM");
  return certificate;
}

absl::StatusOr<Key> ReadKey(std::string_view pem) {
  // No password is asked for.
  const auto none = [](char*, int, int, void*) { return -1; };
  Key key(PEM_read_bio_PrivateKey(Reader(pem).get(), nullptr, none, nullptr));
  if (key == nullptr) return Failure("no private key in PEM");
  return key;
}

// Returns all certificates of a PEM text.
absl::StatusOr<std::vector<Certificate>> ReadCertificates(std::string_view pem) {
  const Bio bio = Reader(pem);
  std::vector<Certificate> certificates;
  while (true) {
    Certificate next(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (next == nullptr) break;
    certificates.push_back(std::move(next));
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (!at_end || certificates.empty()) {
    return Failure(certificates.empty()
                       ? std::string("no certificate in PEM")
                       : fmt::format("certificate {} is malformed", certificates.size() + 1));
  }
  ERR_clear_error();
  return certificates;
}

std::time_t ToTime(const ASN1_TIME* time) {
  std::tm fields{};
  ASN1_TIME_to_tm(time, &fields);
  return timegm(&fields);
}

bool Extend(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
}

// 127 random bits: none is given out twice, and none can be guessed.
bool SetSerial(X509* certificate) {
  const Number number(BN_new());
  return number != nullptr &&
         BN_rand(number.get(), 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

// Without extensions, issuer and signature.
absl::StatusOr<Certificate> Draft(const std::string& common_name, EVP_PKEY* key,
                                  const Terms& terms) {
  Certificate certificate(X509_new());
  const auto* const name = reinterpret_cast<const unsigned char*>(common_name.c_str());
  if (certificate == nullptr || X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
      !SetSerial(certificate.get()) ||
      ASN1_TIME_set(X509_getm_notBefore(certificate.get()), terms.not_before) == nullptr ||
      ASN1_TIME_set(X509_getm_notAfter(certificate.get()), terms.not_after) == nullptr ||
      X509_set_pubkey(certificate.get(), key) != 1 ||
      X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                                 name, -1, -1, 0) != 1) {
    return Failure("can't make a certificate");
  }
  return certificate;
}

}  // namespace

absl::StatusOr<KeyPair> MakeAuthority(const Terms& terms) {
  CONTOUR_ASSIGN_OR_RETURN(const Key key, MakeKey(terms.key_type));
  CONTOUR_ASSIGN_OR_RETURN(const Certificate certificate,
                           Draft("Project Contour", key.get(), terms));
  X509* const it = certificate.get();
  if (X509_set_issuer_name(it, X509_get_subject_name(it)) != 1 ||
      !Extend(it, it, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !Extend(it, it, NID_key_usage, "critical,digitalSignature,keyCertSign") ||
      !Extend(it, it, NID_subject_key_identifier, "hash") ||
      X509_sign(it, key.get(), EVP_sha256()) == 0) {
    return Failure("can't make a certificate");
  }
  return ToPem(it, key.get());
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
  CONTOUR_ASSIGN_OR_RETURN(const Certificate issuer, ReadCertificate(authority.certificate));
  CONTOUR_ASSIGN_OR_RETURN(const Key issuer_key, ReadKey(authority.key));
  if (X509_check_private_key(issuer.get(), issuer_key.get()) != 1) {
    ERR_clear_error();
    return InvalidArgument("the CA's key does not belong to its certificate");
  }
  terms.not_after = std::min(terms.not_after, ToTime(X509_get0_notAfter(issuer.get())));
  CONTOUR_ASSIGN_OR_RETURN(const Key key, MakeKey(terms.key_type));
  CONTOUR_ASSIGN_OR_RETURN(const Certificate certificate,
                           Draft(leaf.common_name, key.get(), terms));
  std::vector<std::string> names;
  for (const std::string& name : leaf.dns_names) names.push_back("DNS:" + name);
  // What an RSA key could do beside: decrypt the secret of a handshake without forward secrecy.
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
    return Failure("can't make a certificate");
  }
  return ToPem(it, key.get());
}

absl::StatusOr<Validity> ReadValidity(std::string_view pem) {
  CONTOUR_ASSIGN_OR_RETURN(const Certificate certificate, ReadCertificate(pem));
  return Validity{ToTime(X509_get0_notBefore(certificate.get())),
                  ToTime(X509_get0_notAfter(certificate.get()))};
}

bool NearsItsEnd(const Validity& validity, std::time_t now) {
  return validity.not_after - now < (validity.not_after - validity.not_before) / 3;
}

absl::Status CheckSignedBy(std::string_view authority_pem, std::string_view certificate_pem) {
  CONTOUR_ASSIGN_OR_RETURN(const Certificate authority, ReadCertificate(authority_pem));
  CONTOUR_ASSIGN_OR_RETURN(const Certificate certificate, ReadCertificate(certificate_pem));
  if (X509_check_issued(authority.get(), certificate.get()) == X509_V_OK &&
      X509_verify(certificate.get(), X509_get0_pubkey(authority.get())) == 1) {
    return absl::OkStatus();
  }
  ERR_clear_error();
  return FailedPrecondition("the certificate is not signed by that CA");
}

absl::Status CheckCertificates(std::string_view pem) { return ReadCertificates(pem).status(); }

PairProblem CheckPair(std::string_view certificate, std::string_view key) {
  const absl::StatusOr<std::vector<Certificate>> chain = ReadCertificates(certificate);
  if (!chain.ok()) return {chain.status(), absl::OkStatus()};
  const Context context(SSL_CTX_new(TLS_server_method()));
  if (context == nullptr) return {Failure("can't check"), absl::OkStatus()};
  if (SSL_CTX_use_certificate(context.get(), chain->front().get()) != 1) {
    return {Failure("can't be served"), absl::OkStatus()};
  }
  for (std::size_t i = 1; i < chain->size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context.get(), (*chain)[i].get()) != 1) {
      return {Failure(fmt::format("certificate {} can't be served", i + 1)), absl::OkStatus()};
    }
  }
  const absl::StatusOr<Key> private_key = ReadKey(key);
  if (!private_key.ok()) return {absl::OkStatus(), private_key.status()};
  if (X509_check_private_key(chain->front().get(), private_key->get()) != 1) {
    ERR_clear_error();
    return {absl::OkStatus(), InvalidArgument("does not belong to the certificate")};
  }
  if (SSL_CTX_use_PrivateKey(context.get(), private_key->get()) != 1) {
    return {absl::OkStatus(), Failure("can't be used")};
  }
  return {};
}

bool HasDNSName(std::string_view pem, const std::string& name) {
  const absl::StatusOr<Certificate> certificate = ReadCertificate(pem);
  return certificate.ok() && X509_check_host(certificate->get(), name.data(), name.size(),
                                             X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, nullptr) == 1;
}

std::string TimeText(std::time_t time) {
  std::tm fields{};
  gmtime_r(&time, &fields);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", fields.tm_year + 1900,
                     fields.tm_mon + 1, fields.tm_mday, fields.tm_hour, fields.tm_min,
                     fields.tm_sec);
}

}  // namespace contour::certgen
