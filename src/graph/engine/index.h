// SPDX-License-Identifier: Apache-2.0
// An index over the objects of one kind. It leads from a namespace and a name to the values that
// objects of the kind give for it, such as from a Secret to the namespaces to which it is
// delegated. A derivation that asks for a key depends on that key alone.

#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace contour::graph {

struct IndexKey {
  std::string ns;
  std::string name;

  auto operator<=>(const IndexKey&) const = default;
};

// One value that an object gives for a key.
struct IndexEntry {
  IndexKey key;
  std::string value;
};

class Index {
 public:
  // Both take the entries of one object. Several objects may give the same value; it stays until
  // the last of them has gone.
  void Add(const std::vector<IndexEntry>& entries);
  void Remove(const std::vector<IndexEntry>& entries);

  bool Contains(const IndexKey& key, std::string_view value) const;

 private:
  using Counts = std::map<std::string, std::size_t, std::less<>>;  // by value; none is 0

  std::map<IndexKey, Counts> entries_;  // none is empty
};

}  // namespace contour::graph
