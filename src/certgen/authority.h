// SPDX-License-Identifier: Apache-2.0
// Contour's own certificates: an authority, and the pairs with which contour and its Envoys know
// each other (mTLS of the xDS port).
//
//   CONTOUR_ASSIGN_OR_RETURN(const KeyPair authority, MakeAuthority({.not_after = in_ten_years}));
//   CONTOUR_ASSIGN_OR_RETURN(const KeyPair contour,
//                            Sign(authority, LeafFor(Role::kContour, "projectcontour"), {…}));
//
// Times are seconds since 1970. Functions of their arguments and OpenSSL's random numbers; any
// thread. Errors name what is wrong, never a key.

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

// PEM. The key is PKCS #8 (`PRIVATE KEY`).
struct KeyPair {
  std::string certificate;
  std::string key;
};

struct Terms {
  KeyType key_type = KeyType::kECDSA;
  std::time_t not_before = 0;
  std::time_t not_after = 0;
};

// `CN=Project Contour`, a CA that signs no other CA.
absl::StatusOr<KeyPair> MakeAuthority(const Terms& terms);

enum class Role : std::uint8_t { kContour, kEnvoy };

struct Leaf {
  std::string common_name;             // also the name that the other side expects
  std::vector<std::string> dns_names;  // `contour`, `contour.<ns>`, `….svc`, `….svc.cluster.local`
  // contour serves, and its command line asks; an Envoy only asks.
  bool serves = false;
};
Leaf LeafFor(Role role, std::string_view ns);

// A new pair, signed by the authority. It doesn't outlive the authority: `not_after` is shortened.
absl::StatusOr<KeyPair> Sign(const KeyPair& authority, const Leaf& leaf, Terms terms);

struct Validity {
  std::time_t not_before = 0;
  std::time_t not_after = 0;
};
// Of the first certificate of a PEM text.
absl::StatusOr<Validity> ReadValidity(std::string_view pem);

// Less than a third of the time between the two is left: time to renew.
bool NearsItsEnd(const Validity& validity, std::time_t now);

// kFailedPrecondition: the certificate isn't signed by that authority.
absl::Status CheckSignedBy(std::string_view authority_pem, std::string_view certificate_pem);

// Checks that a PEM text has CERTIFICATE blocks, at least one, and that all are well formed.
// kInvalidArgument: what is wrong.
absl::Status CheckCertificates(std::string_view pem);

// Checks that OpenSSL serves TLS with a chain of certificates, the leaf first, and the private key
// of the leaf. kInvalidArgument: what is wrong with `certificate` or, if that is good, with `key`.
struct PairProblem {
  absl::Status certificate;
  absl::Status key;
};
PairProblem CheckPair(std::string_view certificate, std::string_view key);

// True if a client that asks for the DNS name `name` takes the first certificate of a PEM text for
// its server's.
bool HasDNSName(std::string_view pem, const std::string& name);

// "2026-11-24T12:00:00Z".
std::string TimeText(std::time_t time);

}  // namespace contour::certgen
