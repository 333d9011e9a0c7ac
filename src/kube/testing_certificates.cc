// SPDX-License-Identifier: Apache-2.0

#include "kube/testing_certificates.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <cstdlib>

namespace contour::kube {
namespace {

std::string Text(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<std::size_t>(size));
  BIO_free(bio);
  return text;
}

std::string Pem(X509* cert) {
  BIO* const bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, cert);
  return Text(bio);
}

std::string Pem(EVP_PKEY* key) {
  BIO* const bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  return Text(bio);
}

void Extend(X509* cert, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  X509_add_ext(cert, extension, -1);
  X509_EXTENSION_free(extension);
}

X509* Unsigned(EVP_PKEY* key, const std::string& common_name) {
  X509* const cert = X509_new();
  X509_set_version(cert, 2);
  long serial = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial);
  ASN1_INTEGER_set(X509_get_serialNumber(cert), std::labs(serial / 2) + 1);
  X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
  X509_gmtime_adj(X509_getm_notAfter(cert), 24L * 3600);
  X509_set_pubkey(cert, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                             0);
  return cert;
}

}  // namespace

struct TestAuthority::State {
  EVP_PKEY* key = nullptr;
  X509* cert = nullptr;
  std::string pem;
};

TestAuthority::TestAuthority() : state_(std::make_unique<State>()) {
  state_->key = EVP_EC_gen("P-256");
  static std::atomic<int> count = 0;
  state_->cert = Unsigned(state_->key, "test authority " + std::to_string(++count));
  X509_set_issuer_name(state_->cert, X509_get_subject_name(state_->cert));
  Extend(state_->cert, state_->cert, NID_basic_constraints, "critical,CA:TRUE");
  X509_sign(state_->cert, state_->key, EVP_sha256());
  state_->pem = Pem(state_->cert);
}

TestAuthority::~TestAuthority() {
  X509_free(state_->cert);
  EVP_PKEY_free(state_->key);
}

const std::string& TestAuthority::ca_pem() const { return state_->pem; }

TestCertificate TestAuthority::Issue(const std::string& common_name,
                                     const std::vector<std::string>& names) const {
  EVP_PKEY* const key = EVP_EC_gen("P-256");
  X509* const cert = Unsigned(key, common_name);
  X509_set_issuer_name(cert, X509_get_subject_name(state_->cert));
  std::string joined;
  for (const std::string& name : names) joined += (joined.empty() ? "" : ",") + name;
  if (!joined.empty()) Extend(cert, state_->cert, NID_subject_alt_name, joined);
  X509_sign(cert, state_->key, EVP_sha256());
  TestCertificate result{Pem(cert), Pem(key)};
  X509_free(cert);
  EVP_PKEY_free(key);
  return result;
}

}  // namespace contour::kube
