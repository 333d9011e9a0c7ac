// SPDX-License-Identifier: Apache-2.0
// What a derivation may depend on.

#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "api/object.h"

namespace contour::graph {

// An object, present or absent, or an index over objects.
struct Dependency {
  enum class Type : std::uint8_t {
    kObject,       // `ref`
    kClaims,       // the roots that claim host `ref.name`, and what they say of it
    kDelegations,  // the TLSCertificateDelegations in namespace `ref.ns`
  };
  Type type = Type::kObject;
  api::ObjectRef ref;

  static Dependency Object(api::ObjectRef ref) { return {Type::kObject, std::move(ref)}; }
  static Dependency Claims(std::string host) {
    return {Type::kClaims, {api::Kind::kIngressRoute, "", std::move(host)}};
  }
  static Dependency Delegations(std::string ns) {
    return {Type::kDelegations, {api::Kind::kTLSCertificateDelegation, std::move(ns), ""}};
  }

  auto operator<=>(const Dependency&) const = default;
};

struct DependencyHash {
  std::size_t operator()(const Dependency& key) const {
    const std::hash<std::string> hash;
    const std::size_t kinds =
        static_cast<std::size_t>(key.type) * 16 + static_cast<std::size_t>(key.ref.kind);
    return (hash(key.ref.ns) * 31 + hash(key.ref.name)) * 31 + kinds;
  }
};

}  // namespace contour::graph
