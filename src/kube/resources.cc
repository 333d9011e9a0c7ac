// SPDX-License-Identifier: Apache-2.0

#include "kube/resources.h"

#include <fmt/core.h>

#include "kube/url.h"

namespace contour::kube {

std::string_view GroupName(api::Kind kind) {
  const std::string_view version = api::ApiVersion(kind);
  const std::size_t slash = version.find('/');
  return slash == std::string_view::npos ? std::string_view() : version.substr(0, slash);
}

std::string CollectionPath(std::string_view api_version, std::string_view resource,
                           std::string_view ns) {
  const bool core = api_version.find('/') == std::string_view::npos;
  std::string path = fmt::format("/{}/{}", core ? "api" : "apis", api_version);
  if (!ns.empty()) path += fmt::format("/namespaces/{}", UrlEncode(ns));
  return fmt::format("{}/{}", path, resource);
}

std::string CollectionPath(api::Kind kind, std::string_view ns) {
  return CollectionPath(api::ApiVersion(kind), ResourceName(kind), ns);
}

std::string ObjectPath(const api::ObjectRef& ref) {
  return fmt::format("{}/{}", CollectionPath(ref.kind, ref.ns), UrlEncode(ref.name));
}

}  // namespace contour::kube
