// SPDX-License-Identifier: Apache-2.0
// Checks on PEM text, so that what a handshake would refuse is named before.

#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace contour::kube {

// At least one certificate, all well formed.
absl::Status CheckCertificates(std::string_view pem);
// A certificate (first of a chain) and the private key that belongs to it.
absl::Status CheckKeyPair(std::string_view cert_pem, std::string_view key_pem);

}  // namespace contour::kube
