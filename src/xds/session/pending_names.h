// SPDX-License-Identifier: Apache-2.0
// The names of one type on one stream that are to be looked at when the next response is made, and
// what has to be answered at all.
//
//   PendingNames pending;
//   pending.Add(name, /*force=*/false);
//   for (const PendingNames::Name& next : pending.Take(2000)) …   // sorted
//
// Thread: as a value.

#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "xds/snapshot/name_map.h"

namespace contour::xds {

class PendingNames {
 public:
  static constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();

  // A name to be looked at; `force`: to be sent even if equal.
  struct Name {
    NamePtr name;
    bool force = false;
  };

  // Adds a name because something happened to it. Without `force` one that is forced remains so.
  void Add(const NamePtr& name, bool force);
  // Does so without a copy of the name, if it is pending already.
  void Add(const std::string& name, bool force);
  // Adds a name, or changes if it is forced.
  void Set(const NamePtr& name, bool force) { names_.insert_or_assign(name, force); }
  // Changes if the name is forced. REQUIRES: it is pending.
  void SetForce(const std::string& name, bool force) { names_.find(name)->second = force; }
  // Adds the name without force, if it isn't pending.
  void AddUnlessPending(const NamePtr& name) { names_.try_emplace(name, false); }
  void Remove(const std::string& name) { EraseName(names_, name); }
  // Puts names back that were taken. They wait until something is touched.
  void PutBack(std::vector<Name> names);

  // Everything that differs from the snapshot is to be looked at.
  void AddEverything() { everything_ = true; }
  void DropEverything() { everything_ = false; }
  bool TakeEverything();
  // Every subscribed name is to be looked at, and to be sent even if equal.
  void AddSubscribed() { subscribed_ = true; }
  bool TakeSubscribed() { return std::exchange(subscribed_, false); }
  // Forgets everything that is pending, since it is sent as a whole.
  void Clear();

  // A response is due even with nothing to say. `whole`: it holds everything.
  void RequireAnswer(bool whole = false) {
    answer_ = true;
    whole_ = whole_ || whole;
  }
  bool answer() const { return answer_; }
  bool whole_answer() const { return whole_; }
  void Answered() { answer_ = whole_ = false; }

  // True if pending names wait until something is touched.
  bool stalled() const { return stalled_; }
  void Resume() { stalled_ = false; }

  // True if no response is due and nothing is to be looked at.
  bool idle() const { return !everything_ && !subscribed_ && !answer_ && !some(); }
  // True if there are names to be looked at.
  bool some() const { return !names_.empty() || !later_.empty(); }
  // True if just everything is pending, and nothing of it forced.
  bool JustEverything() const;
  bool JustSubscribed() const { return subscribed_ && later_.empty(); }

  // Takes the names that the next response is about, sorted; of more than `most` the rest has its
  // turn later.
  std::vector<Name> Take(std::size_t most);

 private:
  // A name whose turn comes with a later response, with the hash of the name.
  using Later = std::vector<std::pair<std::uint64_t, Name>>;

  void Defer(std::vector<Name> names);

  NameMap<bool> names_;  // true: to be sent even if equal
  // Holds the names whose turn comes with later responses, where very many were pending, in the
  // falling order of their hashes: then the changes of one response are neighbours in the tables.
  Later later_;
  bool everything_ = false;
  bool subscribed_ = false;
  bool answer_ = false;
  bool whole_ = false;
  bool stalled_ = false;
};

}  // namespace contour::xds
