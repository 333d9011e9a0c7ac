// SPDX-License-Identifier: Apache-2.0
// What contour and its Envoys need to know each other, and how it lies in files and Secrets.
//
//   PEM files                            Secrets (label app: contour)
//   cacert.pem                           cacert       Opaque             cacert.pem
//   contourcert.pem, contourkey.pem      contourcert  kubernetes.io/tls  tls.crt, tls.key
//   envoycert.pem, envoykey.pem          envoycert    kubernetes.io/tls  tls.crt, tls.key
//   cakey.pem, if it is kept             cakey        Opaque             cakey.pem

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
// From what is there of them, by file name.
Bundle FromPemFiles(const std::map<std::string, std::string>& files);
std::vector<std::string> PemFileNames();

std::string Base64(std::string_view bytes);

}  // namespace contour::certgen
