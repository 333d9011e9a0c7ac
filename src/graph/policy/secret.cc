// SPDX-License-Identifier: Apache-2.0

#include "graph/policy/secret.h"

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/status.h"
#include "base/strings.h"

namespace contour::graph {
namespace {

absl::StatusOr<ServingSecretPtr> CheckServing(const api::Secret& secret) {
  if (secret.type != "kubernetes.io/tls")
    return InvalidArgument("type is {}, not kubernetes.io/tls", Quote(secret.type));
  if (secret.tls_crt.empty() || secret.tls_key.empty())
    return InvalidArgument("{} is empty", secret.tls_crt.empty() ? "tls.crt" : "tls.key");
  const absl::StatusOr<std::int64_t> not_after = CheckServingPair(secret.tls_crt, secret.tls_key);
  if (!not_after.ok()) return not_after.status();
  return std::make_shared<const ServingSecret>(
      ServingSecret{secret.meta.ns, secret.meta.name, secret.tls_crt, secret.tls_key, *not_after});
}

absl::StatusOr<std::string> CheckTrusted(const api::Secret& secret) {
  if (secret.ca_crt.empty()) return InvalidArgument("ca.crt is empty");
  CONTOUR_RETURN_IF_ERROR(CheckTrustedCertificates(secret.ca_crt));
  return secret.ca_crt;
}

}  // namespace

CheckedSecret::CheckedSecret(const api::Secret& secret)
    : serving(CheckServing(secret)), ca_certificate(CheckTrusted(secret)) {}

SecretName SplitSecretName(std::string_view text, std::string_view default_ns) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return {std::string(default_ns), std::string(text)};
  const std::string_view ns = text.substr(0, slash);
  return {std::string(ns.empty() ? default_ns : ns), std::string(text.substr(slash + 1))};
}

bool IsUsableSecret(const api::Object& secret, const Options& /*options*/) {
  return api::IsUsable(*api::As<api::Secret>(secret));
}

}  // namespace contour::graph
