// SPDX-License-Identifier: Apache-2.0
#include "envoy/names.h"

#include <fmt/core.h>
#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "envoy/message.h"

namespace contour::envoy {
namespace {

constexpr std::size_t kNameLimit = 60;

// Lower-case hexadecimal digits of a digest.
std::string HexDigest(const EVP_MD* algorithm, std::string_view data) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  // Fails only without memory; the digits are then those of no bytes.
  if (EVP_Digest(data.data(), data.size(), digest.data(), &size, algorithm, nullptr) != 1) size = 0;
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  hex.reserve(std::size_t{size} * 2);
  for (unsigned int i = 0; i < size; ++i) {
    hex += kDigits[digest[i] >> 4];
    hex += kDigits[digest[i] & 15];
  }
  return hex;
}

std::string Join(const std::vector<std::string>& parts) {
  return fmt::format("{}", fmt::join(parts, "/"));
}

// Go's text of a duration of whole seconds: 5s, 1m30s, 1h0m0s.
std::string GoDuration(std::int64_t seconds) {
  const std::int64_t hours = seconds / 3600;
  const std::int64_t minutes = seconds / 60 % 60;
  if (hours > 0) return fmt::format("{}h{}m{}s", hours, minutes, seconds % 60);
  if (minutes > 0) return fmt::format("{}m{}s", minutes, seconds % 60);
  return fmt::format("{}s", seconds);
}

// What tells clusters of one Service port apart, without separators.
std::string DistinguishingText(const graph::Cluster& cluster) {
  std::string text = cluster.strategy;
  if (cluster.health_check) {
    const graph::HealthCheck& check = *cluster.health_check;
    if (check.written_timeout_seconds > 0) text += GoDuration(check.written_timeout_seconds);
    if (check.written_interval_seconds > 0) text += GoDuration(check.written_interval_seconds);
    if (check.written_unhealthy_threshold > 0)
      text += fmt::format("{}", check.written_unhealthy_threshold);
    if (check.written_healthy_threshold > 0)
      text += fmt::format("{}", check.written_healthy_threshold);
    text += check.path;
  }
  if (cluster.validation) {
    text += cluster.validation->ca_secret;
    text += cluster.validation->subject_name;
  }
  if (cluster.plain_tcp) text += "tcp";
  return text;
}

}  // namespace

std::string Truncate(std::size_t limit, std::string_view text, std::string_view suffix) {
  if (text.size() <= limit) return std::string(text);
  if (suffix.size() >= limit) return std::string(suffix.substr(0, limit));
  return fmt::format("{}-{}", text.substr(0, limit - suffix.size() - 1), suffix);
}

std::string HashName(std::size_t limit, std::initializer_list<std::string_view> parts) {
  std::vector<std::string> pieces(parts.begin(), parts.end());
  std::string name = Join(pieces);
  if (name.size() < limit) return name;
  const std::string hash = HexDigest(EVP_sha256(), name);
  if (pieces.empty()) return hash.substr(0, limit);
  const std::size_t share = limit / pieces.size();
  for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) {
    *piece = Truncate(share, *piece, std::string_view(hash).substr(0, 6));
    name = Join(pieces);
    if (name.size() < limit) return name;
  }
  return hash.substr(0, limit);
}

std::string ClusterName(const graph::Cluster& cluster) {
  const std::string hash = HexDigest(EVP_sha1(), DistinguishingText(cluster)).substr(0, 10);
  return Text(
      HashName(kNameLimit, {cluster.ns, cluster.service, fmt::format("{}", cluster.port), hash}));
}

std::string AltStatName(const graph::Cluster& cluster) {
  return Text(fmt::format("{}_{}_{}", cluster.ns, cluster.service, cluster.port));
}

std::string ServiceName(std::string_view ns, std::string_view service, std::string_view port_name) {
  if (port_name.empty()) return Text(fmt::format("{}/{}", ns, service));
  return Text(fmt::format("{}/{}/{}", ns, service, port_name));
}

std::string ExternalServiceName(const graph::Cluster& cluster) {
  return Text(fmt::format("{}/{}/{}", cluster.ns, cluster.service, cluster.port_name));
}

std::string SecretName(const graph::ServingSecret& secret) {
  return Text(HashName(kNameLimit, {secret.ns, secret.name}));
}

std::string VirtualHostName(std::string_view host) { return Text(HashName(kNameLimit, {host})); }

}  // namespace contour::envoy
