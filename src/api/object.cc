// SPDX-License-Identifier: Apache-2.0

#include "api/object.h"

#include <fmt/core.h>

#include <algorithm>

#include "api/kinds.h"
#include "api/resource.h"

namespace contour::api {
namespace {

bool SameMeta(const Meta& a, const Meta& b) {
  return a.ns == b.ns && a.name == b.name && a.uid == b.uid && a.creation_time == b.creation_time &&
         a.annotations == b.annotations;
}

}  // namespace

std::string_view KindName(Kind kind) { return RowOf(kind).name; }
std::string_view ApiVersion(Kind kind) { return RowOf(kind).api_version; }
bool IsNamespaced(Kind kind) { return RowOf(kind).namespaced; }
std::string_view ResourceName(Kind kind) { return RowOf(kind).plural; }
bool IsOptional(Kind kind) { return RowOf(kind).optional; }

std::string ObjectRef::String() const {
  return ns.empty() ? fmt::format("{} {}", KindName(kind), name)
                    : fmt::format("{} {}/{}", KindName(kind), ns, name);
}

const std::string* Meta::FindAnnotation(std::string_view key) const {
  const auto found =
      std::lower_bound(annotations.begin(), annotations.end(), key,
                       [](const auto& entry, auto wanted) { return entry.first < wanted; });
  return found != annotations.end() && found->first == key ? &found->second : nullptr;
}

bool SameMeaning(const Object& a, const Object& b) {
  return a.kind == b.kind && SameMeta(a.meta, b.meta) && RowOf(a.kind).same_spec(a, b);
}

bool SameStatus(const Object& a, const Object& b) {
  return a.kind == b.kind && RowOf(a.kind).same_status(a, b);
}

bool IsReadAnnotation(std::string_view key) {
  return key.starts_with("contour.heptio.com/") || key.starts_with("projectcontour.io/") ||
         key == "kubernetes.io/ingress.class" || key == "kubernetes.io/ingress.allow-http" ||
         key == "ingress.kubernetes.io/force-ssl-redirect" ||
         key == "ingressclass.kubernetes.io/is-default-class";
}

}  // namespace contour::api
