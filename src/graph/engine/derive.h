// SPDX-License-Identifier: Apache-2.0
// Derive works out what is served under one host from the objects. It is a plain function, written
// as if everything were rebuilt from scratch each time. The engine sees to it that only changed
// hosts are derived again.
//
//   Reader reader(store);
//   HostResult result = Derive("foo.com", reader, options, kinds);   // and reader.TakeDependencies() says what it looked at

#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "graph/engine/kind_row.h"
#include "graph/engine/reader.h"
#include "graph/model/host.h"
#include "graph/model/host_builder.h"
#include "graph/model/options.h"
#include "graph/model/status.h"

namespace contour::graph {

// The order in which a build from scratch would find statuses: of the entries for one parent of an
// object the first in this order wins. An error that refuses a root as a whole comes before all
// walks of roots, and these are ordered by the root's age.
struct RootOrder {
  bool walked = true;
  std::int64_t creation_time = 0;
  std::string ns;
  std::string name;

  auto operator<=>(const RootOrder&) const = default;
};

using RootOrderPtr = std::shared_ptr<const RootOrder>;

// The status entry that one derivation gives to an object. Objects of one walk share values; no
// pointer is null.
struct StatusContribution {
  api::ObjectRef object;
  RootOrderPtr root;
  StatusEntryPtr status;

  bool operator==(const StatusContribution& other) const {
    return object == other.object && *root == *other.root && *status == *other.status;
  }
};

struct HostResult {
  VirtualHostPtr virtual_host;  // nullptr: nothing is served
  // At most one for each object and parent; in the order of the walk.
  std::vector<StatusContribution> statuses;
  std::vector<Problem> problems;  // sorted, no duplicates
};

// The arguments of one derivation, as the kinds get them.
struct Derivation {
  Reader& reader;
  const Options& options;
  HostBuilder& builder;
  HostResult& result;
};

HostResult Derive(const std::string& host, Reader& reader, const Options& options,
                  const KindTable& kinds);

}  // namespace contour::graph
