// SPDX-License-Identifier: Apache-2.0
// Parts that all kinds share: identity, metadata, and the base of their structs.
//
// Objects are immutable once parsed and are shared by pointer (`ObjectPtr`). Each kind has a file
// of its own with a plain struct derived from Object; `As<Service>(object.get())` goes from the
// base to the kind, and returns nullptr if the object is of another one.
//
// Only the fields that contour reads are kept; the others are dropped while parsing.

#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace contour::api {

enum class Kind : std::uint8_t {
  kService,
  kEndpoints,
  kEndpointSlice,
  kSecret,
  kIngress,
  kIngressClass,
  kIngressRoute,
  kTLSCertificateDelegation,
};
inline constexpr int kKindCount = 8;

// Returns the name of the kind as in an object's `kind`: "Service", "EndpointSlice", …
std::string_view KindName(Kind kind);
// Returns the version of the kind that contour reads: "v1", "discovery.k8s.io/v1", …
std::string_view ApiVersion(Kind kind);
bool IsNamespaced(Kind kind);

// The identity of an object. `ns` is empty for cluster-wide kinds (IngressClass).
struct ObjectRef {
  Kind kind = Kind::kService;
  std::string ns;
  std::string name;

  auto operator<=>(const ObjectRef&) const = default;
  std::string String() const;  // "Service default/kuard"
};

struct Meta {
  std::string ns;
  std::string name;
  std::string uid;               // empty in manifests
  std::string resource_version;  // opaque; empty in manifests
  std::int64_t generation = 0;   // 0: not given
  // Seconds since 1970, the resolution of the API server; 0: not given. Where two objects conflict,
  // the one with the smaller value wins.
  std::int64_t creation_time = 0;
  // The annotations for which IsReadAnnotation() is true, sorted by key.
  std::vector<std::pair<std::string, std::string>> annotations;

  // Returns the value of an annotation, nullptr if it is absent.
  const std::string* FindAnnotation(std::string_view key) const;
};

struct Object {
  Kind kind;
  Meta meta;

  ObjectRef Ref() const { return {kind, meta.ns, meta.name}; }

 protected:
  explicit Object(Kind k) : kind(k) {}
  ~Object() = default;
  Object(const Object&) = default;
  Object(Object&&) = default;
  Object& operator=(const Object&) = default;
  Object& operator=(Object&&) = default;
};
using ObjectPtr = std::shared_ptr<const Object>;

template <typename T>
const T* As(const Object& object) {
  return object.kind == T::kKind ? static_cast<const T*>(&object) : nullptr;
}
template <typename T>
const T* As(const Object* object) {
  return object != nullptr ? As<T>(*object) : nullptr;
}

// True if two objects have the same meaning: they are equal, apart from resourceVersion, generation
// and status. An update between two such objects causes no work.
bool SameMeaning(const Object& a, const Object& b);

// True if the fields of `status` that contour reads are equal.
bool SameStatus(const Object& a, const Object& b);

// True for annotations that any kind reads. All others are dropped while parsing.
bool IsReadAnnotation(std::string_view key);

}  // namespace contour::api
