// SPDX-License-Identifier: Apache-2.0

#include "graph/engine/index.h"

namespace contour::graph {

void Index::Add(const std::vector<IndexEntry>& entries) {
  for (const IndexEntry& entry : entries) ++entries_[entry.key][entry.value];
}

void Index::Remove(const std::vector<IndexEntry>& entries) {
  for (const IndexEntry& entry : entries) {
    const auto values = entries_.find(entry.key);
    const auto count = values->second.find(entry.value);
    if (--count->second > 0) continue;
    values->second.erase(count);
    if (values->second.empty()) entries_.erase(values);
  }
}

bool Index::Contains(const IndexKey& key, std::string_view value) const {
  const auto values = entries_.find(key);
  return values != entries_.end() && values->second.contains(value);
}

}  // namespace contour::graph
