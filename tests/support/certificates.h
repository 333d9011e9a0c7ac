// SPDX-License-Identifier: Apache-2.0
// Makes certificates for tests when they are needed, so that no key is in the tree.

#pragma once

#include <string>

namespace contour::testing {

struct Pair {
  std::string certificate;  // PEM, self-signed; also good as a CA
  std::string key;          // PEM, ECDSA P-256
};

// Returns a new pair at each call. If `days` is negative, the certificate has expired.
Pair MakePair(const std::string& common_name, int days = 30);

// Returns a pair with an RSA key of `bits`, for checks of key sizes.
Pair MakeRSAPair(const std::string& common_name, unsigned bits);

// Returns a pair with an ECDSA key on a curve, named as in OpenSSL. With `explicit_curve` the key
// has the curve's parameters instead of its name.
Pair MakeECDSAPair(const std::string& common_name, const char* curve, bool explicit_curve = false);

Pair MakeEd25519Pair(const std::string& common_name);

}  // namespace contour::testing
