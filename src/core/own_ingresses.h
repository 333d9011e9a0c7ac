// SPDX-License-Identifier: Apache-2.0
// Knows which Ingresses are ours, and returns after a batch of changes the Ingresses for which that
// changed. Only a changed IngressClass affects them all, which is rare.
//
// Example, given `const std::vector<api::Change>& changes`, `const graph::Engine& engine` and
// `const graph::Options& options`:
//   OwnIngresses ingresses;
//   // The engine has the changes already.
//   for (const auto& [ref, ours] : ingresses.Apply(changes, engine, options)) {
//   }
//
// To be used on the pipeline's thread.

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
  // Returns the Ingresses that became ours (true) or ceased to be (false), sorted.
  std::vector<std::pair<api::ObjectRef, bool>> Apply(const std::vector<api::Change>& changes,
                                                     const graph::Engine& engine,
                                                     const graph::Options& options);

 private:
  std::unordered_map<api::ObjectRef, bool, graph::ObjectRefHash> ours_;  // of those that exist
};

}  // namespace contour::core
