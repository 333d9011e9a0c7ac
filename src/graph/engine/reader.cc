// SPDX-License-Identifier: Apache-2.0

#include "graph/engine/reader.h"

#include <algorithm>
#include <utility>

namespace contour::graph {

std::vector<Claim> Reader::Claims(const std::string& host) { return store_.Claims(host); }

bool Reader::IndexContains(api::Kind kind, const IndexKey& key, std::string_view value) {
  dependencies_.push_back(Dependency::Index(kind, key));
  return store_.IndexContains(kind, key, value);
}

std::vector<Dependency> Reader::TakeDependencies() {
  std::sort(dependencies_.begin(), dependencies_.end());
  dependencies_.erase(std::unique(dependencies_.begin(), dependencies_.end()), dependencies_.end());
  return std::exchange(dependencies_, {});
}

}  // namespace contour::graph
