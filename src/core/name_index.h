// SPDX-License-Identifier: Apache-2.0
// Knows which contents are in use under which names. Several contents may have one plain name. The
// plain name is used only while one content has it; otherwise it is contested, and each of its
// contents has its full name. Names depend on the contents in use, not on the order in which they
// came.
//
// Example:
//   NameIndex<std::string> names([](const std::string& content) { return content.substr(0, 3); },
//                                [](const std::string& content) { return "full/" + content; });
//   names.Add("abc1");  // once for each user
//   names.Add("abc2");
//   names.Remove("abc1");
//   const auto changes = names.TakeChanges();
//   for (const auto& [name, change] : changes.names) {
//   }  // resources to be set or removed
//   for (const std::string& content : changes.renamed) {
//   }  // its users must be translated again
//
// If two contents have even the same full name, the name is closed: it stands for none of them. If
// the two functions are the same, a contested name is therefore closed.
//
// The cost is in proportion to the change. Only a name that becomes contested, or ceases to be,
// affects a content that didn't change itself. To be used on one thread.

#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace contour::core {

template <typename Content, typename Less = std::less<Content>>
class NameIndex {
 public:
  using Namer = std::function<std::string(const Content&)>;
  // Contents with different plain names must have different full names.
  NameIndex(Namer plain, Namer full) : plain_(std::move(plain)), full_(std::move(full)) {}

  // Adds one user of the content.
  void Add(const Content& content) {
    const auto user = users_.try_emplace(Key{plain_(content), content}, 0).first;
    if (user->second++ == 0) Touch(user->first, false);
  }
  // Removes one user of the content. REQUIRES: it was added.
  void Remove(const Content& content) {
    const auto user = users_.find(Key{plain_(content), content});
    if (--user->second > 0) return;
    Touch(user->first, true);
    users_.erase(user);
  }

  // The content that a name had, and the one that it has now.
  struct Change {
    std::optional<Content> before;  // nullopt: nothing, or it was closed
    std::optional<Content> now;     // nullopt: nothing, or it is closed
    bool closed = false;            // it is in use, by several contents
    bool was_closed = false;
  };
  struct Changes {
    std::map<std::string, Change> names;
    std::vector<Content> renamed;  // were in use before, and are, under another name or closed
    std::vector<std::string> contested, uncontested;  // plain names that became so
  };
  // Returns the changes since the last call.
  Changes TakeChanges() {
    Changes changes;
    while (!touched_.empty()) {  // freed as it is read: the first build touches all that there is
      const auto plain = touched_.extract(touched_.begin());
      Settle(plain.key(), plain.mapped(), changes);
    }
    for (auto& [name, change] : changes.names) {
      change.now = ContentOf(name);
      change.closed = IsClosed(name);
      change.was_closed = closed_.contains(name);
      if (change.closed) closed_.insert(name);
      if (!change.closed) closed_.erase(name);
    }
    return changes;
  }

  // These are valid as of the last TakeChanges.
  const std::set<std::string, std::less<>>& contested() const { return contested_; }
  const std::set<std::string, std::less<>>& closed() const { return closed_; }

  // Returns the content that has the name; nullopt: none has, or the name is closed.
  std::optional<Content> ContentOf(std::string_view name) const {
    if (const auto full = contents_.find(name); full != contents_.end())
      return full->second.size() == 1 ? std::optional(*full->second.begin()) : std::nullopt;
    const auto user = users_.lower_bound(name);
    if (user == users_.end() || user->first.plain != name || contested_.contains(name))
      return std::nullopt;
    return user->first.content;
  }

  // Returns the contents that have the name, or would if it were not contested or closed.
  std::vector<Content> ContentsOf(std::string_view name) const {
    std::vector<Content> contents;
    if (const auto full = contents_.find(name); full != contents_.end())
      contents.assign(full->second.begin(), full->second.end());
    const auto [first, last] = users_.equal_range(name);
    for (auto user = first; user != last; ++user) contents.push_back(user->first.content);
    return contents;
  }

  // Adds the plain names in use that begin with `prefix`.
  void InsertNames(std::string_view prefix, std::set<std::string>& names) const {
    for (auto user = users_.lower_bound(prefix);
         user != users_.end() && user->first.plain.starts_with(prefix); ++user) {
      names.insert(user->first.plain);
    }
  }

 private:
  struct Key {
    std::string plain;
    Content content;
  };
  struct KeyLess {
    using is_transparent = void;
    bool operator()(const Key& a, const Key& b) const {
      if (const int order = a.plain.compare(b.plain); order != 0) return order < 0;
      return Less()(a.content, b.content);
    }
    bool operator()(const Key& a, std::string_view b) const { return a.plain < b; }
    bool operator()(std::string_view a, const Key& b) const { return a < b.plain; }
  };
  using Touched = std::map<Content, bool, Less>;  // whether it was in use at the first touch

  void Touch(const Key& key, bool was) { touched_[key.plain].try_emplace(key.content, was); }

  bool IsClosed(std::string_view name) const {
    const auto full = contents_.find(name);
    return full != contents_.end() && full->second.size() > 1;
  }

  // Updates the names after changes of the contents of one plain name.
  void Settle(const std::string& plain, const Touched& touched, Changes& changes) {
    std::vector<Content> gone;
    std::vector<Content> came;
    for (const auto& [content, was] : touched) {
      const bool is = users_.contains(Key{plain, content});
      if (was && !is) gone.push_back(content);
      if (!was && is) came.push_back(content);
    }
    if (gone.empty() && came.empty()) return;
    const auto [first, last] = users_.equal_range(std::string_view(plain));
    const bool contested = first != last && std::next(first) != last;
    const bool was_contested = contested_.contains(plain);
    if (contested == was_contested) {
      if (contested) {
        for (const Content& content : gone) Leave(content, changes);
        for (const Content& content : came) Enter(content, changes);
      } else {
        NoteName(plain, gone.empty() ? std::nullopt : std::optional(gone.front()), changes);
      }
      return;
    }
    // At most one content of a plain name stays through such a change, so the cost is that of the
    // change.
    std::vector<Content> stay;
    for (auto user = first; user != last; ++user) {
      const auto known = touched.find(user->first.content);
      if (known == touched.end() || known->second) stay.push_back(user->first.content);
    }
    changes.renamed.insert(changes.renamed.end(), stay.begin(), stay.end());
    if (contested) {
      std::optional<Content> before;
      if (!stay.empty()) before = stay.front();
      if (!gone.empty()) before = gone.front();
      NoteName(plain, before, changes);
      contested_.insert(plain);
      changes.contested.push_back(plain);
      for (auto user = first; user != last; ++user) Enter(user->first.content, changes);
    } else {
      for (const Content& content : gone) Leave(content, changes);
      for (const Content& content : stay) Leave(content, changes);
      contested_.erase(plain);
      changes.uncontested.push_back(plain);
      NoteName(plain, std::nullopt, changes);
    }
  }

  // These note that the content begins or ceases to have its full name.
  void Enter(const Content& content, Changes& changes) {
    const std::string name = full_(content);
    NoteName(name, ContentOf(name), changes);
    contents_[name].insert(content);
  }
  void Leave(const Content& content, Changes& changes) {
    const std::string name = full_(content);
    NoteName(name, ContentOf(name), changes);
    const auto full = contents_.find(name);
    full->second.erase(content);
    if (full->second.empty()) contents_.erase(full);
  }

  static void NoteName(const std::string& name, std::optional<Content> before, Changes& changes) {
    changes.names.try_emplace(name, Change{.before = std::move(before)});
  }

  const Namer plain_;
  const Namer full_;
  std::map<Key, std::size_t, KeyLess> users_;  // how many; none is 0 beyond a call
  std::map<std::string, Touched> touched_;     // by plain name, since the last TakeChanges
  std::set<std::string, std::less<>> contested_;
  std::map<std::string, std::set<Content, Less>, std::less<>> contents_;  // by full name
  std::set<std::string, std::less<>> closed_;
};

}  // namespace contour::core
