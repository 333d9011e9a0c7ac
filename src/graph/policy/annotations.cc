// SPDX-License-Identifier: Apache-2.0

#include "graph/policy/annotations.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/strings.h"
#include "graph/policy/timeout.h"

namespace contour::graph {
namespace {

bool IsValue(const api::Meta& meta, std::string_view key, std::string_view value) {
  const std::string* found = meta.FindAnnotation(key);
  return found != nullptr && *found == value;
}

bool Lists(const std::optional<Annotation>& annotation, std::string_view entry) {
  if (!annotation || entry.empty()) return false;
  const std::vector<std::string> entries = SplitList(annotation->value);
  return std::find(entries.begin(), entries.end(), entry) != entries.end();
}

// As Go reads a number of base 10: a sign may be written.
std::from_chars_result FromChars(std::string_view text, std::int64_t& number) {
  const char* begin = text.data();
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') ++begin;
  return std::from_chars(begin, text.data() + text.size(), number);
}

std::optional<std::uint32_t> Limit(const api::Meta& meta, std::string_view name,
                                   bool modern_only = false) {
  const std::optional<Annotation> annotation = FindAnnotation(meta, name);
  if (!annotation || (modern_only && !annotation->modern)) return std::nullopt;
  constexpr std::int64_t kMax = std::numeric_limits<std::int32_t>::max();
  std::int64_t number = 0;
  const std::string_view text = annotation->value;
  const auto [end, error] = FromChars(text, number);
  if (end != text.data() + text.size()) return std::nullopt;
  if (error == std::errc::result_out_of_range) number = text.starts_with('-') ? 0 : kMax;
  if (number <= 0) return std::nullopt;
  return static_cast<std::uint32_t>(std::min(number, kMax));
}

}  // namespace

std::optional<Annotation> FindAnnotation(const api::Meta& meta, std::string_view name) {
  if (const std::string* value = meta.FindAnnotation(fmt::format("projectcontour.io/{}", name))) {
    return Annotation{*value, true};
  }
  if (const std::string* value = meta.FindAnnotation(fmt::format("contour.heptio.com/{}", name))) {
    return Annotation{*value, false};
  }
  return std::nullopt;
}

std::optional<std::int64_t> ParseInt(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = FromChars(text, number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<std::string_view> ClassAnnotation(const api::Meta& meta) {
  for (const std::string_view key :
       {"projectcontour.io/ingress.class", "contour.heptio.com/ingress.class",
        "kubernetes.io/ingress.class"}) {
    if (const std::string* value = meta.FindAnnotation(key)) {
      return value->empty() ? std::nullopt : std::optional<std::string_view>(*value);
    }
  }
  return std::nullopt;
}

bool AllowHTTP(const api::Meta& meta) {
  return !IsValue(meta, "kubernetes.io/ingress.allow-http", "false");
}

bool ForceSSLRedirect(const api::Meta& meta) {
  return IsValue(meta, "ingress.kubernetes.io/force-ssl-redirect", "true");
}

std::optional<Timeout> RequestTimeout(const api::Meta& meta) {
  std::optional<Annotation> annotation;
  if (const std::string* value = meta.FindAnnotation("projectcontour.io/response-timeout")) {
    annotation = Annotation{*value, true};
  } else {
    annotation = FindAnnotation(meta, "request-timeout");
  }
  if (!annotation) return std::nullopt;
  const std::optional<Timeout> timeout = ParseTimeout(annotation->value);
  // Under the new prefix, unlike under the old one, what is no duration means Envoy's default.
  const bool unparsable = timeout && timeout->infinite && annotation->value != "infinity" &&
                          annotation->value != "infinite";
  return annotation->modern && unparsable ? std::nullopt : timeout;
}

std::vector<std::string> WebsocketRoutes(const api::Meta& meta) {
  const std::optional<Annotation> annotation = FindAnnotation(meta, "websocket-routes");
  return annotation ? SplitList(annotation->value) : std::vector<std::string>();
}

TLSVersion MinimumTLSVersion(std::string_view text, const Options& options) {
  TLSVersion version = TLSVersion::k1_1;
  if (text == "1.3") version = TLSVersion::k1_3;
  if (text == "1.2") version = TLSVersion::k1_2;
  return std::max(version, options.minimum_tls_version);
}

TLSVersion MinimumTLSVersion(const api::Meta& meta, const Options& options) {
  const std::optional<Annotation> annotation = FindAnnotation(meta, "tls-minimum-protocol-version");
  if (!annotation) return options.minimum_tls_version;
  const TLSVersion version = MinimumTLSVersion(annotation->value, options);
  return annotation->modern ? std::max(version, TLSVersion::k1_2) : version;
}

TLSVersion MaximumTLSVersion(const api::Meta& meta) {
  return IsValue(meta, "projectcontour.io/tls-maximum-protocol-version", "1.2") ? TLSVersion::k1_2
                                                                                : TLSVersion::k1_3;
}

Protocol UpstreamProtocol(const api::Meta& meta, std::string_view port_name, std::int32_t port) {
  const std::string number = std::to_string(port);
  Protocol by_name = Protocol::kHTTP1;
  Protocol by_number = Protocol::kHTTP1;
  for (const auto& [suffix, protocol] :
       {std::pair{"h2", Protocol::kH2}, std::pair{"h2c", Protocol::kH2C},
        std::pair{"tls", Protocol::kTLS}}) {
    const std::optional<Annotation> annotation =
        FindAnnotation(meta, fmt::format("upstream-protocol.{}", suffix));
    if (Lists(annotation, port_name)) by_name = protocol;
    if (Lists(annotation, number)) by_number = protocol;
  }
  return by_name != Protocol::kHTTP1 ? by_name : by_number;
}

CircuitBreakers ServiceLimits(const api::Meta& meta) {
  return {.max_connections = Limit(meta, "max-connections"),
          .max_pending_requests = Limit(meta, "max-pending-requests"),
          .max_requests = Limit(meta, "max-requests"),
          .max_retries = Limit(meta, "max-retries"),
          .per_host_max_connections = Limit(meta, "per-host-max-connections", true)};
}

}  // namespace contour::graph
