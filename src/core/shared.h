// SPDX-License-Identifier: Apache-2.0
// Things that several hosts use under one name: clusters, secrets. Keeps who uses what, and says
// after a change which names have a new value. Of several values under one name that of the first
// user (by name) counts, so that the result doesn't depend on the order of events.

#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace contour::core {

template <typename Value>
class Shared {
 public:
  void Set(const std::string& name, const std::string& user, Value value) {
    values_[name].insert_or_assign(user, std::move(value));
    dirty_.insert(name);
  }

  void Remove(const std::string& name, const std::string& user) {
    const auto found = values_.find(name);
    if (found == values_.end() || found->second.erase(user) == 0) return;
    if (found->second.empty()) values_.erase(found);
    dirty_.insert(name);
  }

  // nullptr: nobody uses it.
  const Value* Find(std::string_view name) const {
    const auto found = values_.find(name);
    return found == values_.end() ? nullptr : &found->second.begin()->second;
  }

  // Adds the names that begin with `prefix`.
  void InsertNames(std::string_view prefix, std::set<std::string>& names) const {
    for (auto each = values_.lower_bound(prefix);
         each != values_.end() && each->first.starts_with(prefix); ++each) {
      names.insert(each->first);
    }
  }

  // The names touched since the last call.
  std::set<std::string> TakeDirty() { return std::exchange(dirty_, {}); }

  bool empty() const { return values_.empty(); }

 private:
  std::map<std::string, std::map<std::string, Value>, std::less<>> values_;  // name → user → value
  std::set<std::string> dirty_;
};

}  // namespace contour::core
