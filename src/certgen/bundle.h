// SPDX-License-Identifier: Apache-2.0
// What contour and its Envoys need to know each other, and how it lies in files and Secrets.
//
//   PEM files                            Secrets (label app: contour)
//   cacert.pem                           cacert       Opaque             cacert.pem
//   contourcert.pem, contourkey.pem      contourcert  kubernetes.io/tls  tls.crt, tls.key
//   envoycert.pem, envoykey.pem          envoycert    kubernetes.io/tls  tls.crt, tls.key
//   cakey.pem, if it is kept             cakey        Opaque             cakey.pem
//
// The CA's certificate is also read under the name that cert-manager gives it, `ca.crt`; where both
// are there, `cacert.pem` counts.

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

// The CA's certificate, as certgen and as cert-manager call it in folders and Secrets.
inline constexpr const char* kCAFile = "cacert.pem";
inline constexpr const char* kOtherCAFile = "ca.crt";

// The names of the CA's key among Secrets and among files, if it is kept.
inline constexpr const char* kCAKeySecret = "cakey";
inline constexpr const char* kCAKeyFile = "cakey.pem";

// Each part may be missing where one is read.
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

// All anew. The CA's key is in it only if it is to be kept.
absl::StatusOr<Bundle> MakeBundle(KeyType key_type, std::string_view ns, const Lifetimes& lifetimes,
                                  bool keep_ca_key);

// What `existing` lacks to last: the pairs that near their end, made anew under its CA; empty if
// none does. Errors: it isn't complete, the CA's key wasn't kept, the CA itself has ended.
absl::StatusOr<Bundle> Renew(const Bundle& existing, KeyType key_type, std::string_view ns,
                             const Lifetimes& lifetimes);

// A file or Secret of the table above.
struct Secret {
  std::string name;
  std::string type;
  std::map<std::string, std::string> data;  // not encoded
};
std::vector<Secret> ToSecrets(const Bundle& bundle);
// The inverse; Secrets that have other data are an error.
absl::StatusOr<Bundle> FromSecrets(const std::vector<Secret>& secrets);
// Of all Secrets, in order; the last one only if the CA's key is kept.
std::vector<std::string> SecretNames();

// A manifest. `ns` and the names are those of Kubernetes, which need no quotes in YAML.
std::string SecretYAML(const Secret& secret, std::string_view ns);

struct PemFile {
  std::string name;
  std::string content;
  bool secret = false;  // for the owner's eyes only
};
std::vector<PemFile> ToPemFiles(const Bundle& bundle);
// Returns what `files`, by name, have of a bundle; of the CA's two names `cacert.pem` counts before
// `ca.crt`.
Bundle FromPemFiles(const std::map<std::string, std::string>& files);
// Returns the names of the files that ToPemFiles makes at most, in order.
std::vector<std::string> PemFileNames();

std::string Base64(std::string_view bytes);

}  // namespace contour::certgen
