// SPDX-License-Identifier: Apache-2.0

#include "xds/snapshot/name_set.h"

#include <memory>
#include <optional>
#include <random>
#include <utility>

namespace contour::xds {
namespace {

// Returns a text that nobody outside of the process knows: sums of plain hashes could be made equal
// by someone who chooses names.
const std::string& Salt() {
  static const auto* const salt = [] {
    std::random_device random;
    return new std::string(std::to_string(random()) + std::to_string(random()));
  }();
  return *salt;
}

Hash128 VersionOf(std::string_view name) { return HashPair(Salt(), name); }

}  // namespace

NameSet NameSet::Make(const std::vector<std::string>& names, const Pool& pool) {
  NameSet set;
  Hash128 version;
  for (const std::string& name : names) version += VersionOf(name);
  if (auto found = pool.Find(names.size(), version); found.has_value()) {
    set.names_ = *std::move(found);
    return set;
  }
  const EditToken token = NewEditToken();
  for (const std::string& name : names) set.Insert(name, token);
  return set;
}

bool NameSet::Insert(std::string_view name, EditToken token) {
  if (names_.Contains(name)) return false;
  names_.Set(std::make_shared<const Name>(Name{std::string(name), VersionOf(name)}), token);
  return true;
}

}  // namespace contour::xds
