// SPDX-License-Identifier: Apache-2.0

#include "certgen/bundle.h"

#include <fmt/format.h>

#include <utility>

#include "absl/strings/escaping.h"
#include "base/status.h"
#include "crypto/checks.h"

namespace contour::certgen {
namespace {

constexpr std::time_t kDay = 24 * 3600;

// Returns terms that begin a day earlier, since clocks differ.
Terms TermsOf(KeyType key_type, std::time_t now, std::time_t seconds) {
  return {key_type, now - kDay, now + seconds};
}

struct NamedPair {
  const char* secret;
  const char* certificate_file;
  const char* key_file;
  Role role;
  std::optional<KeyPair> Bundle::* pair;
};
constexpr NamedPair kPairs[] = {
    {"contourcert", "contourcert.pem", "contourkey.pem", Role::kContour, &Bundle::contour},
    {"envoycert", "envoycert.pem", "envoykey.pem", Role::kEnvoy, &Bundle::envoy},
};
constexpr const char* kCASecret = "cacert";
constexpr char kTLS[] = "kubernetes.io/tls";
constexpr char kOpaque[] = "Opaque";

// Checks that only the CA's key may be missing, and that all parts belong to one CA.
absl::Status CheckSet(const Bundle& bundle) {
  if (!bundle.ca_certificate) {
    return FailedPrecondition("{}: missing beside the others", kCASecret);
  }
  for (const NamedPair& named : kPairs) {
    const std::optional<KeyPair>& pair = bundle.*named.pair;
    if (!pair) return FailedPrecondition("{}: missing beside the others", named.secret);
    if (const absl::Status status = CheckSignedBy(*bundle.ca_certificate, pair->certificate);
        !status.ok()) {
      return FailedPrecondition("{}: {}", named.secret, Message(status));
    }
  }
  // This fault is reported now, and not when the key is needed.
  if (bundle.ca_key && !crypto::CheckPair(*bundle.ca_certificate, *bundle.ca_key).key.ok()) {
    return FailedPrecondition(
        "{}: is not the key of {}, so nothing can be renewed with it; make all anew (--overwrite)",
        kCAKeySecret, kCASecret);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Bundle> MakeBundle(KeyType key_type, std::string_view ns, const Lifetimes& lifetimes,
                                  bool keep_ca_key) {
  CONTOUR_ASSIGN_OR_RETURN(const KeyPair authority,
                           MakeAuthority(TermsOf(key_type, lifetimes.now, lifetimes.ca_seconds)));
  Bundle bundle;
  bundle.ca_certificate = authority.certificate;
  if (keep_ca_key) bundle.ca_key = authority.key;
  for (const NamedPair& named : kPairs) {
    CONTOUR_ASSIGN_OR_RETURN(bundle.*named.pair,
                             Sign(authority, LeafFor(named.role, ns),
                                  TermsOf(key_type, lifetimes.now, lifetimes.leaf_seconds)));
  }
  return bundle;
}

absl::StatusOr<Bundle> Renew(const Bundle& existing, KeyType key_type, std::string_view ns,
                             const Lifetimes& lifetimes) {
  CONTOUR_RETURN_IF_ERROR(CheckSet(existing));
  CONTOUR_ASSIGN_OR_RETURN(const Validity ca, ReadValidity(*existing.ca_certificate));
  Bundle renewed;
  for (const NamedPair& named : kPairs) {
    const std::optional<KeyPair>& pair = existing.*named.pair;
    CONTOUR_ASSIGN_OR_RETURN(const Validity validity, ReadValidity(pair->certificate));
    if (!NearsItsEnd(validity, lifetimes.now)) continue;
    if (validity.not_after >= ca.not_after) {
      return FailedPrecondition(
          "{}: ends on {} with its CA, so all must be made anew (--overwrite)", named.secret,
          TimeText(validity.not_after));
    }
    if (!existing.ca_key) {
      return FailedPrecondition(
          "{}: ends on {}, and the CA's key was not kept (--keep-ca-key), so all must be made anew "
          "(--overwrite)",
          named.secret, TimeText(validity.not_after));
    }
    CONTOUR_ASSIGN_OR_RETURN(
        renewed.*named.pair,
        Sign({*existing.ca_certificate, *existing.ca_key}, LeafFor(named.role, ns),
             TermsOf(key_type, lifetimes.now, lifetimes.leaf_seconds)));
  }
  return renewed;
}

std::vector<Secret> ToSecrets(const Bundle& bundle) {
  std::vector<Secret> secrets;
  if (bundle.ca_certificate) {
    secrets.push_back({kCASecret, kOpaque, {{kCAFile, *bundle.ca_certificate}}});
  }
  for (const NamedPair& named : kPairs) {
    const std::optional<KeyPair>& pair = bundle.*named.pair;
    if (!pair) continue;
    secrets.push_back(
        {named.secret, kTLS, {{"tls.crt", pair->certificate}, {"tls.key", pair->key}}});
  }
  if (bundle.ca_key) secrets.push_back({kCAKeySecret, kOpaque, {{kCAKeyFile, *bundle.ca_key}}});
  return secrets;
}

absl::StatusOr<Bundle> FromSecrets(const std::vector<Secret>& secrets) {
  Bundle bundle;
  for (const Secret& secret : secrets) {
    const auto read = [&](const char* key) -> absl::StatusOr<std::string> {
      const auto found = secret.data.find(key);
      if (found != secret.data.end()) return found->second;
      return FailedPrecondition("secret/{}: has no {}", secret.name, key);
    };
    if (secret.name == kCASecret) {
      absl::StatusOr<std::string> certificate = read(kCAFile);
      if (!certificate.ok()) certificate = read(kOtherCAFile);
      if (!certificate.ok()) {
        return FailedPrecondition("secret/{}: has neither {} nor {}", secret.name, kCAFile,
                                  kOtherCAFile);
      }
      bundle.ca_certificate = *std::move(certificate);
    } else if (secret.name == kCAKeySecret) {
      CONTOUR_ASSIGN_OR_RETURN(bundle.ca_key, read(kCAKeyFile));
    }
    for (const NamedPair& named : kPairs) {
      if (secret.name != named.secret) continue;
      CONTOUR_ASSIGN_OR_RETURN(std::string certificate, read("tls.crt"));
      CONTOUR_ASSIGN_OR_RETURN(std::string key, read("tls.key"));
      bundle.*named.pair = KeyPair{std::move(certificate), std::move(key)};
    }
  }
  return bundle;
}

std::vector<std::string> SecretNames() {
  std::vector<std::string> names = {kCASecret};
  for (const NamedPair& named : kPairs) names.emplace_back(named.secret);
  names.emplace_back(kCAKeySecret);
  return names;
}

std::string SecretYAML(const Secret& secret, std::string_view ns) {
  std::string text = fmt::format(
      "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {}\n  namespace: {}\n  labels:\n    app: "
      "contour\ntype: {}\ndata:\n",
      secret.name, ns, secret.type);
  for (const auto& [key, value] : secret.data) {
    text += fmt::format("  {}: {}\n", key, Base64(value));
  }
  return text;
}

std::vector<PemFile> ToPemFiles(const Bundle& bundle) {
  std::vector<PemFile> files;
  if (bundle.ca_certificate) files.push_back({kCAFile, *bundle.ca_certificate, false});
  for (const NamedPair& named : kPairs) {
    const std::optional<KeyPair>& pair = bundle.*named.pair;
    if (!pair) continue;
    files.push_back({named.certificate_file, pair->certificate, false});
    files.push_back({named.key_file, pair->key, true});
  }
  if (bundle.ca_key) files.push_back({kCAKeyFile, *bundle.ca_key, true});
  return files;
}

Bundle FromPemFiles(const std::map<std::string, std::string>& files) {
  const auto read = [&](const char* name) -> std::optional<std::string> {
    const auto found = files.find(name);
    if (found == files.end()) return std::nullopt;
    return found->second;
  };
  Bundle bundle;
  bundle.ca_certificate = read(kCAFile);
  if (!bundle.ca_certificate) bundle.ca_certificate = read(kOtherCAFile);
  bundle.ca_key = read(kCAKeyFile);
  for (const NamedPair& named : kPairs) {
    const auto certificate = read(named.certificate_file);
    const auto key = read(named.key_file);
    if (certificate && key) bundle.*named.pair = KeyPair{*certificate, *key};
  }
  return bundle;
}

std::vector<std::string> PemFileNames() {
  std::vector<std::string> names = {kCAFile};
  for (const NamedPair& named : kPairs) {
    names.emplace_back(named.certificate_file);
    names.emplace_back(named.key_file);
  }
  names.emplace_back(kCAKeyFile);
  return names;
}

std::string Base64(std::string_view bytes) {
  return absl::Base64Escape(absl::string_view(bytes.data(), bytes.size()));
}

}  // namespace contour::certgen
