// SPDX-License-Identifier: Apache-2.0
// Values that are shared as long as somebody holds them, by key.
//
//   WeakCache<Hash128, std::string> texts;
//   if (auto text = texts.Find(key); text == nullptr) texts.Put(key, Make());
//
// Each Put looks at two other entries and drops them if nobody holds their values any more: so
// there are never many more entries than values that are held, and no Put looks at all of them.
//
// Thread: as a value.

#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"

namespace contour::xds {

template <typename Key, typename Value>
class WeakCache {
 public:
  // nullptr: nobody holds it.
  std::shared_ptr<const Value> Find(const Key& key) const {
    const auto at = entries_.find(key);
    return at == entries_.end() ? nullptr : at->second.lock();
  }
  void Put(const Key& key, const std::shared_ptr<const Value>& value) {
    for (int looks = 0; looks < 2 && !order_.empty(); ++looks) {
      Key oldest = std::move(order_.front());
      order_.pop_front();
      const auto at = entries_.find(oldest);
      if (at->second.expired()) {
        entries_.erase(at);
      } else {
        order_.push_back(std::move(oldest));
      }
    }
    if (entries_.insert_or_assign(key, value).second) order_.push_back(key);
  }
  std::size_t size() const { return entries_.size(); }

 private:
  std::map<Key, std::weak_ptr<const Value>> entries_;
  std::deque<Key> order_;  // the keys of the entries; those at the front are looked at next
};

// A WeakCache for several threads. Thread: any.
template <typename Key, typename Value>
class SharedCache {
 public:
  using Pointer = std::shared_ptr<const Value>;

  // Returns the value of the key. If nobody holds it, it is what make() returns, a Pointer;
  // nullptr: there is none. Two threads may make the same value at once.
  template <typename Make>
  Pointer Get(const Key& key, Make&& make) ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      const MutexLock lock(mutex_);
      if (Pointer known = cache_.Find(key); known != nullptr) return known;
    }
    Pointer value = make();
    const MutexLock lock(mutex_);
    if (value != nullptr) cache_.Put(key, value);
    return value;
  }

 private:
  Mutex mutex_;
  WeakCache<Key, Value> cache_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace contour::xds
