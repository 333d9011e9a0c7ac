// SPDX-License-Identifier: Apache-2.0
// The objects that exist, and the indexes over them. The engine owns the store, derivations read it
// through Reader only.

#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "api/object.h"
#include "api/source.h"
#include "graph/engine/claim.h"
#include "graph/engine/dependency.h"
#include "graph/engine/index.h"
#include "graph/engine/kind_row.h"
#include "graph/model/options.h"

namespace contour::graph {

// The base of results that are worked out from an object once for each content of it.
struct CheckedObject {
  CheckedObject() = default;
  CheckedObject(const CheckedObject&) = delete;
  CheckedObject& operator=(const CheckedObject&) = delete;
  virtual ~CheckedObject() = default;
};

class Store {
 public:
  Store(const Options& options, const KindTable& kinds) : options_(&options), kinds_(&kinds) {}

  // The readers that a change concerns: those of the object, and those of these keys.
  struct Effect {
    bool object = false;             // false: the meaning is the same, nothing else is set
    std::vector<std::string> hosts;  // whose claims changed
    std::set<IndexKey> index_keys;   // that changed in the index of the object's kind
  };

  // Puts the object in place of what `change.ref` named, or takes that away. Objects that are not
  // visible (see KindRow) count as absent.
  Effect Apply(const api::Change& change);

  // Returns nullptr if the object is absent. The pointer lives until the next Apply.
  const api::Object* Find(const api::ObjectRef& ref) const;

  // Returns the roots that claim a host, the oldest first, then by namespace, name and kind.
  std::vector<Claim> Claims(std::string_view host) const;
  bool IsClaimed(std::string_view host) const { return claims_.contains(host); }

  // True if an object of the kind gives the value for the key; see KindRow::index.
  bool IndexContains(api::Kind kind, const IndexKey& key, std::string_view value) const {
    return indexes_[static_cast<std::size_t>(kind)].Contains(key, value);
  }

  // Returns the result of the check T of an object, which is of the kind T::Object; nullptr: it is
  // absent. T derives from CheckedObject, is made from a const T::Object&, and is the only check of
  // its kind. The pointer lives until the next Apply.
  template <typename T>
  const T* Checked(const api::ObjectRef& ref) {
    const auto found = objects_.find(ref);
    if (found == objects_.end()) return nullptr;
    Entry& entry = found->second;
    if (entry.checked == nullptr)
      entry.checked = std::make_unique<T>(*api::As<typename T::Object>(*entry.object));
    return static_cast<const T*>(entry.checked.get());
  }

  std::size_t size() const { return objects_.size(); }

 private:
  struct Entry {
    api::ObjectPtr object;
    std::unique_ptr<const CheckedObject> checked;  // nullptr: not asked for yet
  };
  struct ClaimEntry {
    const api::ObjectRef* ref;  // of objects_
    HostPart part;
  };
  using ClaimEntries = std::vector<ClaimEntry>;  // sorted by *ref

  // Returns the keys that changed in the index of the kind. Both objects are of the kind; nullptr:
  // there was, or is, none.
  std::set<IndexKey> UpdateIndex(const KindRow& kind, const api::Object* before,
                                 const api::Object* now);
  // Returns the hosts whose claims changed. `ref` is of objects_.
  std::vector<std::string> UpdateClaims(const api::ObjectRef& ref, const api::Object* before,
                                        const api::Object* now);

  const Options* options_;
  const KindTable* kinds_;
  std::unordered_map<api::ObjectRef, Entry, ObjectRefHash> objects_;
  std::map<std::string, ClaimEntries, std::less<>> claims_;  // by host
  std::array<Index, api::kKindCount> indexes_;
};

}  // namespace contour::graph
