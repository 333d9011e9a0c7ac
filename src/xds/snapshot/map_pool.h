// SPDX-License-Identifier: Apache-2.0
// One copy of maps that several sessions have alike.
//
//   MapPool<Resource> pool;
//   pool.Share(table);   // if another map of equal content is held somewhere, this is that one now
//
// A map is equal to another if both have as many values and the sums of their versions are equal.
//
// Thread: any. A map that was shared must not be changed any more with an edit token from before:
// others read its nodes.

#pragma once

#include <cstddef>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "xds/snapshot/persistent_map.h"
#include "xds/snapshot/weak_cache.h"

namespace contour::xds {

template <typename Value>
class MapPool {
 public:
  using Map = PersistentMap<Value>;

  // Returns the map of so many values with this sum of versions; nullopt: nobody holds it.
  std::optional<Map> Find(std::size_t size, const Hash128& version) const
      ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    auto root = roots_.Find({size, version});
    if (root == nullptr) return std::nullopt;
    return Map(std::move(root), version);
  }
  void Share(Map& map) ABSL_LOCKS_EXCLUDED(mutex_) {
    if (map.empty()) return;
    const MutexLock lock(mutex_);
    const std::pair<std::size_t, Hash128> key(map.size(), map.version());
    if (auto root = roots_.Find(key); root != nullptr) {
      map = Map(std::move(root), map.version());
    } else {
      roots_.Put(key, map.root());
    }
  }
  // How many maps are known; some of them may be held by nobody any more.
  std::size_t size() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    return roots_.size();
  }

 private:
  mutable Mutex mutex_;
  WeakCache<std::pair<std::size_t, Hash128>, typename Map::Node> roots_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace contour::xds
