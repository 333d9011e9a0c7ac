// SPDX-License-Identifier: Apache-2.0

#include "graph/engine/derive.h"

#include <algorithm>

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

bool IsHostName(std::string_view host) {
  if (host.size() > 253) return false;
  while (true) {
    const std::string_view label = host.substr(0, host.find('.'));
    if (label.empty() || label.size() > 63) return false;
    const bool good = std::all_of(label.begin(), label.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    });
    if (!good) return false;
    if (label.size() == host.size()) return true;
    host.remove_prefix(label.size() + 1);
  }
}

HostResult Derive(const std::string& host, Reader& reader, const Options& options) {
  HostResult result;
  HostBuilder builder(host);
  Derivation derivation{reader, options, builder, result};
  const std::vector<Claim> claims = reader.Claims(host);
  // In this order, since a later kind wins: a route of an IngressRoute replaces an equal one of an
  // Ingress.
  DeriveIngresses(claims, derivation);
  DeriveIngressRoutes(claims, derivation);
  result.virtual_host = std::move(builder).Build();
  std::vector<Problem>& problems = result.problems;
  std::sort(problems.begin(), problems.end());
  problems.erase(std::unique(problems.begin(), problems.end()), problems.end());
  return result;
}

}  // namespace contour::graph
