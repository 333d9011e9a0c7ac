// SPDX-License-Identifier: Apache-2.0
// All that the engine knows of a kind is a row of functions. The table of rows is in
// graph/kinds/kinds.cc; a new kind of root is a folder there and a row.
//
// A function is null if the kind has nothing of the sort. All are pure.

#pragma once

#include <array>
#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "api/object.h"
#include "graph/engine/claim.h"
#include "graph/engine/index.h"
#include "graph/model/options.h"
#include "graph/model/status.h"

namespace contour::graph {

struct Derivation;

struct KindRow {
  api::Kind kind = api::Kind::kService;

  // False if the object counts as absent, because it is of a foreign class or of no use.
  bool (*is_visible)(const api::Object& object, const Options& options) = nullptr;

  // Returns the hosts under which a root wants to be served: lower case, "*" for any other host.
  HostParts (*claims)(const api::Object& object) = nullptr;
  // True if deriving any host reads the same of both versions of the root, apart from the host's
  // part, and true if it reads the same of the host's parts. If null, each version differs.
  bool (*is_same_root)(const api::Object& before, const api::Object& now) = nullptr;
  bool (*is_same_part)(const api::Object& before, const HostPart& part_before,
                       const api::Object& now, const HostPart& part_now,
                       std::string_view host) = nullptr;
  // Derives one host as far as roots of this kind concern it. Takes the claims of all kinds to it,
  // the oldest first, and looks at its own.
  void (*derive)(const std::vector<Claim>& claims, Derivation& derivation) = nullptr;

  // Returns the object's entries in the index of the kind.
  std::vector<IndexEntry> (*index)(const api::Object& object) = nullptr;

  // Returns the status of an object that no derivation has visited. If null, derivations give
  // objects of the kind no status, and the next two are null as well.
  const Status& (*initial_status)() = nullptr;
  // Returns the fields of the object's `status` that are ours: as they should be, and as the object
  // has them.
  nlohmann::json (*status_fields)(const Status& status) = nullptr;
  nlohmann::json (*known_status_fields)(const api::Object& object) = nullptr;
};

class KindTable {
 public:
  // `rows` are in the order in which the kinds are derived: where two kinds ask for the same route,
  // the later one wins. Kinds without a row are objects that others read.
  explicit KindTable(std::vector<KindRow> rows) : rows_(std::move(rows)) {
    for (std::size_t kind = 0; kind < by_kind_.size(); ++kind)
      by_kind_[kind].kind = static_cast<api::Kind>(kind);
    for (const KindRow& row : rows_) by_kind_[static_cast<std::size_t>(row.kind)] = row;
  }

  const KindRow& RowOf(api::Kind kind) const { return by_kind_[static_cast<std::size_t>(kind)]; }
  const std::vector<KindRow>& rows() const { return rows_; }

  HostParts ClaimedHosts(const api::Object& object) const {
    const KindRow& row = RowOf(object.kind);
    return row.claims == nullptr ? HostParts() : row.claims(object);
  }

 private:
  std::vector<KindRow> rows_;
  std::array<KindRow, api::kKindCount> by_kind_;
};

}  // namespace contour::graph
