// SPDX-License-Identifier: Apache-2.0

#include "crypto/pem.h"

#include <fmt/format.h>
#include <openssl/pem.h>

#include <cstddef>
#include <limits>
#include <utility>

#include "base/status.h"

namespace contour::crypto {
namespace {

BioPtr ReaderOf(std::string_view text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string TextOf(BIO& bio) {
  char* data = nullptr;
  const auto size = BIO_get_mem_data(&bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

// OpenSSL's callback for the password of an encrypted block; without one it asks on the terminal.
int NoPassword(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*data*/) { return -1; }

CertificatePtr NextCertificate(BIO& bio) {
  return CertificatePtr(PEM_read_bio_X509(&bio, nullptr, NoPassword, nullptr));
}

bool IsAtEnd() { return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE; }

}  // namespace

absl::Status OpenSSLError(std::string_view what) {
  const char* const reason = ERR_reason_error_string(ERR_peek_last_error());
  absl::Status status = InvalidArgument("{}: {}", what, reason != nullptr ? reason : "failed");
  ERR_clear_error();
  return status;
}

absl::StatusOr<CertificatePtr> ReadCertificate(std::string_view pem) {
  CertificatePtr certificate = NextCertificate(*ReaderOf(pem));
  if (certificate == nullptr) return OpenSSLError("no certificate in PEM");
  return certificate;
}

absl::StatusOr<std::vector<CertificatePtr>> ReadCertificates(std::string_view pem) {
  const BioPtr bio = ReaderOf(pem);
  std::vector<CertificatePtr> certificates;
  while (CertificatePtr next = NextCertificate(*bio)) certificates.push_back(std::move(next));
  if (certificates.empty() && IsAtEnd()) {
    return absl::NotFoundError(OpenSSLError("no certificate in PEM").message());
  }
  if (!IsAtEnd()) {
    return OpenSSLError(fmt::format("certificate {} is malformed", certificates.size() + 1));
  }
  ERR_clear_error();
  return certificates;
}

absl::StatusOr<KeyPtr> ReadPrivateKey(std::string_view pem) {
  KeyPtr key(PEM_read_bio_PrivateKey(ReaderOf(pem).get(), nullptr, NoPassword, nullptr));
  if (key == nullptr) return OpenSSLError("no private key in PEM");
  return key;
}

absl::StatusOr<std::string> WriteCertificate(X509& certificate) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || PEM_write_bio_X509(bio.get(), &certificate) != 1) {
    return OpenSSLError("can't write PEM");
  }
  return TextOf(*bio);
}

absl::StatusOr<std::string> WritePrivateKey(EVP_PKEY& key) {
  const BioPtr bio(BIO_new(BIO_s_secmem()));
  if (bio == nullptr ||
      PEM_write_bio_PKCS8PrivateKey(bio.get(), &key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return OpenSSLError("can't write PEM");
  }
  return TextOf(*bio);
}

absl::Status ForEachPemBlock(
    std::string_view pem,
    const std::function<absl::Status(std::string_view type, std::string_view der)>& visit) {
  const ErrorQueueGuard guard;
  if (pem.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    return InvalidArgument("failed to parse PEM block");
  }
  // OpenSSL skips it, but BoringSSL doesn't find the block after it.
  if (pem.starts_with("\xef\xbb\xbf")) {
    return InvalidArgument("starts with a byte order mark; save it as UTF-8 without one");
  }
  const BioPtr bio = ReaderOf(pem);
  std::size_t blocks = 0;
  while (true) {
    char* type = nullptr;
    char* header = nullptr;
    unsigned char* data = nullptr;
    long length = 0;  // NOLINT(google-runtime-int): OpenSSL's type
    if (PEM_read_bio(bio.get(), &type, &header, &data, &length) != 1) {
      if (IsAtEnd() && blocks > 0) return absl::OkStatus();
      return InvalidArgument("failed to parse PEM block");
    }
    ++blocks;
    const absl::Status status =
        *header == '\0'
            ? visit(type, std::string_view(reinterpret_cast<const char*>(data),
                                           static_cast<std::size_t>(length)))
            : InvalidArgument(
                  "PEM block {} has headers (is it encrypted?), only its data may be there",
                  blocks);
    OPENSSL_free(type);
    OPENSSL_free(header);
    OPENSSL_clear_free(data, static_cast<std::size_t>(length));
    CONTOUR_RETURN_IF_ERROR(status);
  }
}

CertificatePtr ParseCertificate(std::string_view der) {
  const auto* data = reinterpret_cast<const unsigned char*>(der.data());
  return CertificatePtr(
      d2i_X509(nullptr, &data, static_cast<long>(der.size())));  // NOLINT(google-runtime-int)
}

}  // namespace contour::crypto
