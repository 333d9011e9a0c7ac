// SPDX-License-Identifier: Apache-2.0

#include "tests/support/certificates.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <cstdlib>

namespace contour::testing {
namespace {

std::string Text(BIO* bio) {
  char* data = nullptr;
  const auto length = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<std::size_t>(length));
  BIO_free(bio);
  return text;
}

Pair Sign(EVP_PKEY* key, const std::string& common_name, int days) {
  if (key == nullptr) std::abort();
  X509* certificate = X509_new();
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  constexpr long kDay = 24L * 60 * 60;
  X509_gmtime_adj(X509_getm_notBefore(certificate), (days < 0 ? 2L * days : -1L) * kDay);
  X509_gmtime_adj(X509_getm_notAfter(certificate), static_cast<long>(days) * kDay);
  X509_set_pubkey(certificate, key);
  X509_NAME* name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                             0);
  X509_set_issuer_name(certificate, name);
  const std::string names = "DNS:" + common_name;
  if (X509_EXTENSION* extension =
          X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names.c_str())) {
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }
  X509_sign(certificate, key, EVP_PKEY_base_id(key) == EVP_PKEY_ED25519 ? nullptr : EVP_sha256());

  Pair pair;
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, certificate);
  pair.certificate = Text(bio);
  bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  pair.key = Text(bio);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return pair;
}

}  // namespace

Pair MakePair(const std::string& common_name, int days) {
  return Sign(EVP_EC_gen("P-256"), common_name, days);
}

Pair MakeRSAPair(const std::string& common_name, unsigned bits) {
  return Sign(EVP_RSA_gen(bits), common_name, 30);
}

Pair MakeECDSAPair(const std::string& common_name, const char* curve, bool explicit_curve) {
  EVP_PKEY* key = EVP_EC_gen(curve);
  if (key != nullptr && explicit_curve) {
    EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_ENCODING,
                                   OSSL_PKEY_EC_ENCODING_EXPLICIT);
  }
  return Sign(key, common_name, 30);
}

Pair MakeEd25519Pair(const std::string& common_name) {
  return Sign(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), common_name, 30);
}

}  // namespace contour::testing
