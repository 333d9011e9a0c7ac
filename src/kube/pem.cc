// SPDX-License-Identifier: Apache-2.0

#include "kube/pem.h"

#include "base/status.h"
#include "crypto/checks.h"
#include "crypto/pem.h"

namespace contour::kube {

absl::Status CheckCertificates(std::string_view pem) {
  absl::Status status = crypto::CheckCertificates(pem);
  return absl::IsNotFound(status) ? InvalidArgument("no PEM certificate in it") : status;
}

absl::Status CheckKeyPair(std::string_view cert_pem, std::string_view key_pem) {
  const auto cert = crypto::ReadCertificate(cert_pem);
  if (!cert.ok()) return InvalidArgument("no PEM certificate in the client certificate");
  const auto key = crypto::ReadPrivateKey(key_pem);
  if (!key.ok()) return InvalidArgument("no PEM private key (without password) in the client key");
  if (crypto::IsKeyOf(**cert, **key)) return absl::OkStatus();
  return InvalidArgument("the client key doesn't belong to the client certificate");
}

}  // namespace contour::kube
