// SPDX-License-Identifier: Apache-2.0
// Helps the tests of policies that annotations ask for.

#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "api/object.h"

namespace contour::graph {

// Returns the metadata of an object with these annotations, in any order.
inline api::Meta With(std::vector<std::pair<std::string, std::string>> annotations) {
  api::Meta meta;
  meta.annotations = std::move(annotations);
  std::sort(meta.annotations.begin(), meta.annotations.end());
  return meta;
}

}  // namespace contour::graph
