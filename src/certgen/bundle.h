// SPDX-License-Identifier: Apache-2.0
// The certificates and keys by which contour and its Envoys authenticate each other, and their
// names in files and Secrets.
//
//   PEM files                            Secrets (label app: contour)
//   cacert.pem                           cacert       Opaque             cacert.pem
//   contourcert.pem, contourkey.pem      contourcert  kubernetes.io/tls  tls.crt, tls.key
//   envoycert.pem, envoykey.pem          envoycert    kubernetes.io/tls  tls.crt, tls.key
//   cakey.pem, if it is kept             cakey        Opaque             cakey.pem
//
// The CA's certificate is also read under the name that cert-manager gives it, `ca.crt`; if both
// exist, `cacert.pem` counts.

#pragma once

#include <ctime>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "certgen/authority.h"

namespace contour::certgen {

// The names of the CA's certificate in folders and Secrets: by certgen, and by cert-manager.
inline constexpr const char* kCAFile = "cacert.pem";
inline constexpr const char* kOtherCAFile = "ca.crt";

// The names of the CA's key among Secrets and among files, if it is kept.
inline constexpr const char* kCAKeySecret = "cakey";
inline constexpr const char* kCAKeyFile = "cakey.pem";

// The parts of a bundle. In a bundle that was read, each may be missing.
struct Bundle {
  std::optional<std::string> ca_certificate;
  std::optional<std::string> ca_key;
  std::optional<KeyPair> contour;
  std::optional<KeyPair> envoy;
};

struct Lifetimes {
  std::time_t now = 0;
  std::time_t leaf_seconds = 0;
  std::time_t ca_seconds = 0;
};

// Makes all parts. The CA's key is in the bundle only if it is to be kept.
absl::StatusOr<Bundle> MakeBundle(KeyType key_type, std::string_view ns, const Lifetimes& lifetimes,
                                  bool keep_ca_key);

// Returns new pairs, signed by the CA of `existing`, for those that near their end; empty if none
// does. Errors: `existing` isn't complete, the CA's key wasn't kept, or the CA itself has expired.
absl::StatusOr<Bundle> Renew(const Bundle& existing, KeyType key_type, std::string_view ns,
                             const Lifetimes& lifetimes);

// A file or Secret of the table above.
struct Secret {
  std::string name;
  std::string type;
  std::map<std::string, std::string> data;  // not encoded
};
std::vector<Secret> ToSecrets(const Bundle& bundle);
// Returns the bundle in these Secrets. Secrets that have other data are an error.
absl::StatusOr<Bundle> FromSecrets(const std::vector<Secret>& secrets);
// Returns the names of all Secrets, in order. The last one exists only if the CA's key is kept.
std::vector<std::string> SecretNames();

// Returns a manifest. `ns` and the names are valid in Kubernetes, so they need no quotes in YAML.
std::string SecretYAML(const Secret& secret, std::string_view ns);

struct PemFile {
  std::string name;
  std::string content;
  bool secret = false;  // only the owner may read it
};
std::vector<PemFile> ToPemFiles(const Bundle& bundle);
// Returns the parts of a bundle that are in `files`, by name. `cacert.pem` counts before `ca.crt`.
Bundle FromPemFiles(const std::map<std::string, std::string>& files);
// Returns the names of the files that ToPemFiles makes at most, in order.
std::vector<std::string> PemFileNames();

std::string Base64(std::string_view bytes);

}  // namespace contour::certgen
