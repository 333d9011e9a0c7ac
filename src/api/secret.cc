// SPDX-License-Identifier: Apache-2.0

#include "api/secret.h"

#include <optional>
#include <utility>

#include "api/base64.h"
#include "api/json_reader.h"
#include "api/kinds.h"

namespace contour::api {
namespace {

// The keys that are kept, and the members that keep them.
constexpr std::pair<std::string_view, std::string Secret::*> kKeys[] = {
    {"tls.crt", &Secret::tls_crt},
    {"tls.key", &Secret::tls_key},
    {"ca.crt", &Secret::ca_crt},
    {"crl.pem", &Secret::crl_pem},
};

// True for types to which no object can refer for certificates, although a token has a `ca.crt`.
bool IsOfNoUse(std::string_view type) {
  return type == "helm.sh/release.v1" || type == "kubernetes.io/service-account-token" ||
         type == "bootstrap.kubernetes.io/token";
}

}  // namespace

void Read(JsonReader& reader, Secret* object) {
  reader.String("type", &object->type);
  if (IsOfNoUse(object->type)) return;
  reader.Object("data", [&] {
    for (const auto& [key, member] : kKeys) {
      const std::optional<std::string_view> text = reader.Text(key);
      if (!text) continue;
      std::optional<std::string> decoded = DecodeBase64(*text);
      if (!decoded) return reader.Fail(key, "expected base64");
      object->*member = *std::move(decoded);
    }
  });
  // Manifests may have plain text here; the API server merges it into `data` when writing.
  reader.Object("stringData", [&] {
    for (const auto& [key, member] : kKeys) reader.String(key, &(object->*member));
  });
}

bool IsUsable(const Secret& secret) {
  return secret.type == "kubernetes.io/tls" || !secret.ca_crt.empty() || !secret.crl_pem.empty();
}

bool SameSpec(const Secret& a, const Secret& b) {
  if (a.type != b.type) return false;
  for (const auto& [key, member] : kKeys) {
    if (a.*member != b.*member) return false;
  }
  return true;
}

}  // namespace contour::api
