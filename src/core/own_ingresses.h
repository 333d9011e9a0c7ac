// SPDX-License-Identifier: Apache-2.0
// Keeps which Ingresses are ours, and says after a batch of changes for which that is another now.
// An IngressClass that changes is the one thing that concerns them all; that is rare.
//
// Example, given `const std::vector<api::Change>& changes`, `const graph::Engine& engine` and
// `const graph::Options& options`:
//   OwnIngresses ingresses;
//   // The engine has the changes already.
//   for (const auto& [ref, ours] : ingresses.Apply(changes, engine, options)) {
//   }
//
// Belongs to the pipeline; one thread.

#pragma once

#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "api/source.h"
#include "graph/engine/engine.h"
#include "graph/model/options.h"

namespace contour::core {

class OwnIngresses {
 public:
  // Sorted.
  std::vector<std::pair<api::ObjectRef, bool>> Apply(const std::vector<api::Change>& changes,
                                                     const graph::Engine& engine,
                                                     const graph::Options& options);

 private:
  std::unordered_map<api::ObjectRef, bool, graph::ObjectRefHash> ours_;  // of those that exist
};

}  // namespace contour::core
