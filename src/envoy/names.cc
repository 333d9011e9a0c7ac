// SPDX-License-Identifier: Apache-2.0
#include "envoy/names.h"

#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/indirect_optional.h"
#include "crypto/digest.h"
#include "envoy/message.h"

namespace contour::envoy {
namespace {

constexpr std::size_t kNameLimit = 60;

std::string Join(const std::vector<std::string>& parts) {
  return fmt::format("{}", fmt::join(parts, "/"));
}

// Returns Go's text of a duration of whole seconds: 5s, 1m30s, 1h0m0s.
std::string GoDuration(std::int64_t seconds) {
  const std::int64_t hours = seconds / 3600;
  const std::int64_t minutes = seconds / 60 % 60;
  if (hours > 0) return fmt::format("{}h{}m{}s", hours, minutes, seconds % 60);
  if (minutes > 0) return fmt::format("{}m{}s", minutes, seconds % 60);
  return fmt::format("{}s", seconds);
}

// A digest over fields that have their lengths, so that different fields never give the same bytes.
// `purpose` makes digests of different kinds of things different.
class Fields {
 public:
  explicit Fields(std::string_view purpose) { Add(purpose); }

  void Add(std::string_view text) {
    Add(std::uint64_t{text.size()});
    bytes_.append(text);
  }
  void Add(std::uint64_t number) {
    for (int shift = 0; shift < 64; shift += 8)
      bytes_ += static_cast<char>(number >> shift & 0xffU);
  }
  void Add(const std::optional<std::uint32_t>& number) {
    Add(std::uint64_t{number.has_value()});
    if (number) Add(std::uint64_t{*number});
  }

  std::string Digest(std::size_t digits) const {
    return "sha256-" + crypto::HexSHA256(bytes_).substr(0, digits);
  }

 private:
  std::string bytes_;
};

// A field that is added to the struct doesn't compile until it is added to these structured
// bindings.
void AddTo(Fields& fields, const graph::HealthCheck& check) {
  const auto& [path, host, interval, timeout, unhealthy, healthy, written_interval, written_timeout,
               written_unhealthy, written_healthy] = check;
  fields.Add(path);
  fields.Add(host);
  for (const std::chrono::seconds time : {interval, timeout})
    fields.Add(static_cast<std::uint64_t>(time.count()));
  for (const std::uint32_t count : {unhealthy, healthy}) fields.Add(std::uint64_t{count});
  for (const std::int64_t written :
       {written_interval, written_timeout, written_unhealthy, written_healthy}) {
    fields.Add(static_cast<std::uint64_t>(written));
  }
}

void AddTo(Fields& fields, const graph::UpstreamValidation& validation) {
  const auto& [ca_secret, ca_certificate, subject_name] = validation;
  for (const std::string& text : {ca_secret, ca_certificate, subject_name}) fields.Add(text);
}

void AddTo(Fields& fields, const graph::CircuitBreakers& limits) {
  const auto& [connections, pending, requests, retries, per_host] = limits;
  for (const auto& limit : {connections, pending, requests, retries, per_host}) fields.Add(limit);
}

template <typename T>
void AddTo(Fields& fields, const IndirectOptional<T>& value) {
  fields.Add(std::uint64_t{value.has_value()});
  if (value) AddTo(fields, *value);
}

std::string DigestOf(const graph::Cluster& cluster, std::size_t digits) {
  const auto& [ns, service, port, port_name, external_name, protocol, plain_tcp, load_balancing,
               health_check, validation, circuit_breakers] = cluster;
  Fields fields("cluster");
  fields.Add(ns);
  fields.Add(service);
  fields.Add(std::uint64_t{port});
  fields.Add(port_name);
  fields.Add(external_name);
  fields.Add(static_cast<std::uint64_t>(protocol));
  fields.Add(std::uint64_t{plain_tcp});
  fields.Add(load_balancing.written);
  AddTo(fields, health_check);
  AddTo(fields, validation);
  AddTo(fields, circuit_breakers);
  return fields.Digest(digits);
}

// True if the end of this part is clear in a name that joins parts by one of `separators`: it is
// not empty, and has only printable ASCII other than these and the backslash, with which Text()
// begins an escape.
bool IsCleanPart(std::string_view part, std::string_view separators) {
  return !part.empty() && std::all_of(part.begin(), part.end(), [&](char c) {
    return c > ' ' && c <= '~' && c != '\\' && separators.find(c) == std::string_view::npos;
  });
}

// Returns the text by which clusters of one Service port differ, without separators.
std::string DistinguishingText(const graph::Cluster& cluster) {
  std::string text = cluster.load_balancing.written;
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
  const std::string hash = crypto::HexSHA256(name);
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
  const std::string hash = crypto::HexSHA1(DistinguishingText(cluster)).substr(0, 10);
  return Text(
      HashName(kNameLimit, {cluster.ns, cluster.service, fmt::format("{}", cluster.port), hash}));
}

std::string FullClusterName(const graph::Cluster& cluster, std::size_t digits) {
  return fmt::format("{}/{}/{}", ServiceNamePrefix(cluster.ns, cluster.service), cluster.port,
                     DigestOf(cluster, digits));
}

std::string SecretName(const graph::ServingSecret& secret, std::size_t digits) {
  std::string name = HashName(kNameLimit, {secret.ns, secret.name});
  // A name without "/" could be that of a host, and hosts name secrets too where HTTPS is sharded.
  const bool clean = IsCleanPart(secret.ns, "/") && IsCleanPart(secret.name, "/");
  return clean && name.find('/') != std::string::npos ? name : FullSecretName(secret, digits);
}

std::string FullSecretName(const graph::ServingSecret& secret, std::size_t digits) {
  Fields fields("secret");
  fields.Add(secret.ns);
  fields.Add(secret.name);
  return Text(fmt::format("{}/{}", secret.ns, secret.name)) + "/" + fields.Digest(digits);
}

std::optional<std::pair<std::string, std::string>> ParseSecretName(std::string_view name) {
  const std::size_t slash = name.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  graph::ServingSecret secret;
  secret.ns = name.substr(0, slash);
  secret.name = name.substr(slash + 1);
  if (SecretName(secret) != name) return std::nullopt;
  return std::pair(secret.ns, secret.name);
}

std::string Names::Cluster(const graph::Cluster& cluster) const {
  std::string name = ClusterName(cluster);
  return contested_clusters.contains(name) ? FullClusterName(cluster, hash_digits) : name;
}

const std::string& ClusterNamer::NameOf(const graph::Cluster& cluster) {
  const auto [known, added] = known_.try_emplace(&cluster);
  if (added) known->second = names_.Cluster(cluster);
  return known->second;
}

std::string Names::Secret(const graph::ServingSecret& secret) const {
  std::string name = SecretName(secret, hash_digits);
  return contested_secrets.contains(name) ? FullSecretName(secret, hash_digits) : name;
}

std::string AltStatName(const graph::Cluster& cluster, std::size_t digits) {
  std::string name = Text(fmt::format("{}_{}_{}", cluster.ns, cluster.service, cluster.port));
  // Envoy replaces ":" by "_".
  if (IsCleanPart(cluster.ns, "_:") && IsCleanPart(cluster.service, "_:")) return name;
  Fields fields("statistics");
  fields.Add(cluster.ns);
  fields.Add(cluster.service);
  fields.Add(std::uint64_t{cluster.port});
  return name + "_" + fields.Digest(digits);
}

std::string ServiceName(const graph::AssignmentKey& key, std::size_t digits) {
  std::string name = ServiceNamePrefix(key.ns, key.service);
  if (!key.port_name.empty()) name += "/" + Text(key.port_name);
  if (IsCleanPart(key.ns, "/") && IsCleanPart(key.service, "/") &&
      (key.port_name.empty() || IsCleanPart(key.port_name, "/"))) {
    return name;
  }
  Fields fields("assignment");
  for (const std::string& text : {key.ns, key.service, key.port_name}) fields.Add(text);
  return name + "/" + fields.Digest(digits);
}

std::optional<graph::AssignmentKey> ParseServiceName(std::string_view name) {
  const std::size_t service = name.find('/');
  if (service == std::string_view::npos) return std::nullopt;
  const std::size_t port = name.find('/', service + 1);
  graph::AssignmentKey key;
  key.ns = name.substr(0, service);
  key.service = name.substr(service + 1, port - service - 1);
  if (port != std::string_view::npos) key.port_name = name.substr(port + 1);
  return ServiceName(key) == name ? std::optional(key) : std::nullopt;
}

std::string ServiceNamePrefix(std::string_view ns, std::string_view service) {
  return Text(fmt::format("{}/{}", ns, service));
}

std::string ExternalServiceName(const graph::Cluster& cluster) {
  return Text(fmt::format("{}/{}/{}", cluster.ns, cluster.service, cluster.port_name));
}

std::string VirtualHostName(std::string_view host, std::size_t digits) {
  std::string name = HashName(kNameLimit, {host});
  return HashesHost(host) ? name.substr(0, digits) : Text(name);
}

bool HashesHost(std::string_view host) { return host.size() >= kNameLimit; }

}  // namespace contour::envoy
