// SPDX-License-Identifier: Apache-2.0

#include "kube/pem.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>

#include "base/status.h"

namespace contour::kube {
namespace {

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
using BioPtr = std::unique_ptr<BIO, Deleter<BIO_free>>;
using X509Ptr = std::unique_ptr<X509, Deleter<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;

BioPtr Memory(std::string_view text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// An encrypted key is an error, not a question on the terminal.
int NoPassword(char*, int, int, void*) { return -1; }

}  // namespace

absl::Status CheckCertificates(std::string_view pem) {
  const BioPtr bio = Memory(pem);
  int count = 0;
  while (X509Ptr(PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr)) != nullptr) ++count;
  const unsigned long error = ERR_peek_last_error();
  ERR_clear_error();
  if (count > 0 && ERR_GET_REASON(error) == PEM_R_NO_START_LINE) return absl::OkStatus();
  return count == 0 ? InvalidArgument("no PEM certificate in it")
                    : InvalidArgument("certificate {} of it is malformed", count + 1);
}

absl::Status CheckKeyPair(std::string_view cert_pem, std::string_view key_pem) {
  const X509Ptr cert(PEM_read_bio_X509(Memory(cert_pem).get(), nullptr, NoPassword, nullptr));
  const KeyPtr key(PEM_read_bio_PrivateKey(Memory(key_pem).get(), nullptr, NoPassword, nullptr));
  const bool match = cert && key && X509_check_private_key(cert.get(), key.get()) == 1;
  ERR_clear_error();
  if (!cert) return InvalidArgument("no PEM certificate in the client certificate");
  if (!key) return InvalidArgument("no PEM private key (without password) in the client key");
  if (!match) return InvalidArgument("the client key doesn't belong to the client certificate");
  return absl::OkStatus();
}

}  // namespace contour::kube
