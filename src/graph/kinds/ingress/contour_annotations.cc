// SPDX-License-Identifier: Apache-2.0

#include "graph/kinds/ingress/contour_annotations.h"

#include <algorithm>

#include "base/strings.h"
#include "graph/policy/annotation.h"
#include "graph/policy/timeout.h"
#include "graph/policy/tls_version.h"

namespace contour::graph::ingress {

bool AllowHTTP(const api::Meta& meta) {
  return !IsAnnotated(meta, "kubernetes.io/ingress.allow-http", "false");
}

bool ForceSSLRedirect(const api::Meta& meta) {
  return IsAnnotated(meta, "ingress.kubernetes.io/force-ssl-redirect", "true");
}

std::optional<Timeout> RequestTimeout(const api::Meta& meta) {
  std::optional<Annotation> annotation;
  if (const std::string* value = meta.FindAnnotation("projectcontour.io/response-timeout")) {
    annotation = Annotation{*value, true};
  } else {
    annotation = FindAnnotation(meta, "request-timeout");
  }
  if (!annotation) return std::nullopt;
  const auto timeout = ParseTimeout({annotation->value, "annotation request-timeout"});
  if (timeout.ok()) return *timeout;
  return annotation->modern ? std::nullopt : std::optional(Timeout{.infinite = true});
}

std::optional<RetrySpec> RetrySpecOf(const api::Meta& meta) {
  const std::optional<Annotation> retry_on = FindAnnotation(meta, "retry-on");
  if (!retry_on || retry_on->value.empty()) return std::nullopt;
  RetrySpec spec{.retry_on = retry_on->value,
                 .count = {},
                 .per_try_timeout = {},
                 .field = "annotation retry-on"};
  if (const std::optional<Annotation> written = FindAnnotation(meta, "num-retries")) {
    const std::optional<std::int64_t> number = ParseInt(written->value);
    if (written->modern && number == -1) return std::nullopt;
    if (written->modern || number.value_or(0) > 0) spec.count = number.value_or(1);
  }
  if (const std::optional<Annotation> per_try = FindAnnotation(meta, "per-try-timeout"))
    spec.per_try_timeout = per_try->value;
  return spec;
}

std::vector<std::string> WebsocketRoutes(const api::Meta& meta) {
  const std::optional<Annotation> annotation = FindAnnotation(meta, "websocket-routes");
  return annotation ? SplitList(annotation->value) : std::vector<std::string>();
}

TLSVersion MinimumTLSVersionOf(const api::Meta& meta, const Options& options) {
  const std::optional<Annotation> annotation = FindAnnotation(meta, "tls-minimum-protocol-version");
  if (!annotation) return options.minimum_tls_version;
  const TLSVersion version =
      MinimumTLSVersion({annotation->value, "annotation tls-minimum-protocol-version"}, options);
  return annotation->modern ? std::max(version, TLSVersion::k1_2) : version;
}

TLSVersion MaximumTLSVersionOf(const api::Meta& meta) {
  return IsAnnotated(meta, "projectcontour.io/tls-maximum-protocol-version", "1.2")
             ? TLSVersion::k1_2
             : TLSVersion::k1_3;
}

std::string TLSNamespace(const api::Meta& meta) {
  const std::optional<Annotation> annotation = FindAnnotation(meta, "tls-cert-namespace");
  return annotation && annotation->modern && !annotation->value.empty()
             ? std::string(annotation->value)
             : meta.ns;
}

}  // namespace contour::graph::ingress
