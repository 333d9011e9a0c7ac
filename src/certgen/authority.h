// SPDX-License-Identifier: Apache-2.0
// Makes contour's own certificates: a CA, and the key pairs by which contour and its Envoys
// authenticate each other (mTLS of the xDS port).
//
// Example, given `std::time_t in_a_year` and `std::time_t in_ten_years`:
//   CONTOUR_ASSIGN_OR_RETURN(const KeyPair authority, MakeAuthority({.not_after = in_ten_years}));
//   CONTOUR_ASSIGN_OR_RETURN(const KeyPair contour,
//                            Sign(authority, LeafFor(Role::kContour, "projectcontour"),
//                                 {.not_after = in_a_year}));
//
// Times are seconds since 1970. Results depend on the arguments and OpenSSL's random numbers only;
// any thread. Errors say what is wrong, and never have a key.

#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace contour::certgen {

enum class KeyType : std::uint8_t { kECDSA, kRSA };  // P-256; 2048 bits

// A certificate and its key, as PEM. The key is PKCS #8 (`PRIVATE KEY`).
struct KeyPair {
  std::string certificate;
  std::string key;
};

struct Terms {
  KeyType key_type = KeyType::kECDSA;
  std::time_t not_before = 0;
  std::time_t not_after = 0;
};

// Returns a new CA, `CN=Project Contour`, which can't sign another CA.
absl::StatusOr<KeyPair> MakeAuthority(const Terms& terms);

enum class Role : std::uint8_t { kContour, kEnvoy };

struct Leaf {
  std::string common_name;             // also the name that the other side expects
  std::vector<std::string> dns_names;  // `contour`, `contour.<ns>`, `….svc`, `….svc.cluster.local`
  // contour is a server, and a client with its command line; an Envoy is a client only.
  bool serves = false;
};
Leaf LeafFor(Role role, std::string_view ns);

// Returns a new pair, signed by the authority. `not_after` is shortened, so that it doesn't outlive
// the authority.
absl::StatusOr<KeyPair> Sign(const KeyPair& authority, const Leaf& leaf, Terms terms);

struct Validity {
  std::time_t not_before = 0;
  std::time_t not_after = 0;
};
// Returns the validity of the first certificate of a PEM text.
absl::StatusOr<Validity> ReadValidity(std::string_view pem);

// True if less than a third of the validity is left, so that it is time to renew.
bool NearsItsEnd(const Validity& validity, std::time_t now);

// Returns kFailedPrecondition if the certificate isn't signed by that authority.
absl::Status CheckSignedBy(std::string_view authority_pem, std::string_view certificate_pem);

// Returns a time in the form "2026-11-24T12:00:00Z".
std::string TimeText(std::time_t time);

}  // namespace contour::certgen
