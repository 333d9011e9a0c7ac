// SPDX-License-Identifier: Apache-2.0
// Certificates for tests, made when asked for: nothing secret lies in the tree.

#pragma once

#include <string>

namespace contour::testing {

struct Pair {
  std::string certificate;  // PEM, self-signed; also good as a CA
  std::string key;          // PEM, ECDSA P-256
};

// A new pair at each call. `days` may be negative: the certificate has expired.
Pair MakePair(const std::string& common_name, int days = 30);

// RSA of `bits`, for checks of key sizes.
Pair MakeRSAPair(const std::string& common_name, unsigned bits);

// ECDSA on a curve as OpenSSL names it; with `explicit_curve` the key spells it out.
Pair MakeECDSAPair(const std::string& common_name, const char* curve, bool explicit_curve = false);

Pair MakeEd25519Pair(const std::string& common_name);

}  // namespace contour::testing
