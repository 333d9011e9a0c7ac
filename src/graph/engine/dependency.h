// SPDX-License-Identifier: Apache-2.0
// The keys that a derivation may depend on, and hashes for maps by such keys and by objects.

#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "api/object.h"
#include "graph/engine/index.h"

namespace contour::graph {

// A key is an object, present or absent, or a key of an index over objects.
struct Dependency {
  enum class Type : std::uint8_t {
    kObject,  // `ref`
    kIndex,   // the key `ref.ns`, `ref.name` in the index of the kind `ref.kind`
  };
  Type type = Type::kObject;
  api::ObjectRef ref;

  static Dependency Object(api::ObjectRef ref) { return {Type::kObject, std::move(ref)}; }
  static Dependency Index(api::Kind kind, const IndexKey& key) {
    return {Type::kIndex, {kind, key.ns, key.name}};
  }

  auto operator<=>(const Dependency&) const = default;
};

// DependencyView is a Dependency without text of its own, for look-ups that copy nothing.
struct DependencyView {
  Dependency::Type type;
  api::Kind kind;
  std::string_view ns;
  std::string_view name;

  DependencyView(const Dependency& key)  // NOLINT(google-explicit-constructor): it is one
      : type(key.type), kind(key.ref.kind), ns(key.ref.ns), name(key.ref.name) {}
  DependencyView(Dependency::Type t, api::Kind k, std::string_view n, std::string_view m)
      : type(t), kind(k), ns(n), name(m) {}

  static DependencyView Object(const api::ObjectRef& ref) {
    return {Dependency::Type::kObject, ref.kind, ref.ns, ref.name};
  }
  static DependencyView Index(api::Kind kind, const IndexKey& key) {
    return {Dependency::Type::kIndex, kind, key.ns, key.name};
  }

  bool operator==(const DependencyView&) const = default;
};

// Hash and equality for maps that are looked up by views.
struct DependencyHash {
  using is_transparent = void;
  std::size_t operator()(const DependencyView& key) const {
    const std::hash<std::string_view> hash;
    const std::size_t kinds =
        static_cast<std::size_t>(key.type) * 16 + static_cast<std::size_t>(key.kind);
    return (hash(key.ns) * 31 + hash(key.name)) * 31 + kinds;
  }
};
struct DependencyEqual {
  using is_transparent = void;
  bool operator()(const DependencyView& a, const DependencyView& b) const { return a == b; }
};
struct ObjectRefHash {
  std::size_t operator()(const api::ObjectRef& ref) const {
    return DependencyHash()(DependencyView::Object(ref));
  }
};

}  // namespace contour::graph
