// SPDX-License-Identifier: Apache-2.0

#include "graph/derive.h"

namespace contour::graph {

SecretName SplitSecretName(std::string_view text, std::string_view default_ns) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return {std::string(default_ns), std::string(text)};
  const std::string_view ns = text.substr(0, slash);
  return {std::string(ns.empty() ? default_ns : ns), std::string(text.substr(slash + 1))};
}

bool IsHeaderValue(std::string_view text) {
  return text.find_first_of(std::string_view("\0\r\n", 3)) == std::string_view::npos;
}

HostResult Derive(const std::string& host, Reader& reader, const Options& options) {
  HostResult result;
  HostBuilder builder(host);
  Derivation derivation{reader, options, builder, result};
  std::vector<const api::Ingress*> ingresses;
  std::vector<const api::IngressRoute*> roots;
  for (const api::Object* claimant : reader.Claimants(host)) {
    if (const auto* ingress = api::As<api::Ingress>(claimant)) ingresses.push_back(ingress);
    if (const auto* root = api::As<api::IngressRoute>(claimant)) roots.push_back(root);
  }
  // In this order, since a later kind wins: a route of an IngressRoute replaces an equal one of an
  // Ingress.
  DeriveIngresses(ingresses, derivation);
  DeriveIngressRoutes(roots, derivation);
  result.virtual_host = std::move(builder).Build();
  return result;
}

}  // namespace contour::graph
