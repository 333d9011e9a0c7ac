// SPDX-License-Identifier: Apache-2.0
// The names that a stream subscribes to. The Envoys of a fleet subscribe to the same ones: sets of
// equal content share their memory.
//
//   NameSet::Pool pool;                                  // one for all sessions
//   NameSet names = NameSet::Make(request.subscribe, pool);
//   names.Insert("kuard");
//   names.Share(pool);                                   // another's copy, if one has the same names
//
// Thread: as a value. The pool may be used by any thread.

#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "xds/snapshot/map_pool.h"
#include "xds/snapshot/name_map.h"
#include "xds/snapshot/persistent_map.h"

namespace contour::xds {

class NameSet {
 public:
  struct Name {
    std::string name;
    Hash128 version;
  };
  using Pool = MapPool<Name>;

  // Returns the set of the names, of which some may be equal. If a session has this set already, it
  // isn't built again.
  static NameSet Make(const std::vector<std::string>& names, const Pool& pool);

  bool Contains(std::string_view name) const { return names_.Contains(name); }
  // Returns false if the name was there.
  bool Insert(std::string_view name, EditToken token = kNoEdit);
  // Returns false if the name wasn't there.
  bool Erase(std::string_view name, EditToken token = kNoEdit) {
    return names_.Remove(name, token);
  }
  // Makes it the copy that others have, if there is one. Tokens of earlier edits are used up.
  void Share(Pool& pool) { pool.Share(names_); }

  std::size_t size() const { return names_.size(); }
  bool empty() const { return names_.empty(); }
  // Equal for sets of equal names, within this process.
  const Hash128& version() const { return names_.version(); }
  // Calls f(const NamePtr&) for each name, in an order that follows from the names alone.
  template <typename Function>
  void ForEach(Function&& f) const {
    names_.ForEach([&](const auto& name) { f(NamePtr(name, &name->name)); });
  }
  // True if both are one copy.
  bool SharesWith(const NameSet& other) const { return names_.root() == other.names_.root(); }

 private:
  PersistentMap<Name> names_;
};

}  // namespace contour::xds
