// SPDX-License-Identifier: Apache-2.0

#include "xds/session/pending_names.h"

#include <algorithm>
#include <iterator>

#include "base/hash.h"

namespace contour::xds {
namespace {

void SortByName(std::vector<PendingNames::Name>& names) {
  std::sort(
      names.begin(), names.end(),
      [](const PendingNames::Name& a, const PendingNames::Name& b) { return *a.name < *b.name; });
}

// Makes names that are there twice one. REQUIRES: they are sorted.
std::vector<PendingNames::Name> Once(std::vector<PendingNames::Name> names) {
  std::vector<PendingNames::Name> once;
  once.reserve(names.size());
  for (PendingNames::Name& name : names) {
    if (!once.empty() && *once.back().name == *name.name) {
      once.back().force = once.back().force || name.force;
    } else {
      once.push_back(std::move(name));
    }
  }
  return once;
}

}  // namespace

void PendingNames::Add(const NamePtr& name, bool force) {
  bool& forced = names_.try_emplace(name, false).first->second;
  forced = forced || force;
  stalled_ = false;
}

void PendingNames::Add(const std::string& name, bool force) {
  const auto known = names_.find(name);
  Add(known == names_.end() ? MakeName(name) : known->first, force);
}

void PendingNames::PutBack(std::vector<Name> names) {
  for (Name& name : names) {
    bool& forced = names_.try_emplace(std::move(name.name), false).first->second;
    forced = forced || name.force;
  }
  stalled_ = true;
}

bool PendingNames::TakeEverything() {
  if (!std::exchange(everything_, false)) return false;
  stalled_ = false;
  return true;
}

void PendingNames::Clear() {
  everything_ = subscribed_ = false;
  names_.clear();
}

bool PendingNames::JustEverything() const {
  return everything_ && later_.empty() &&
         std::none_of(names_.begin(), names_.end(), [](const auto& name) { return name.second; });
}

std::vector<PendingNames::Name> PendingNames::Take(std::size_t most) {
  std::vector<Name> names;
  names.reserve(names_.size());
  while (!names_.empty()) {
    auto node = names_.extract(names_.begin());
    names.push_back({std::move(node.key()), node.mapped()});
  }
  FreeIfEmpty(names_);
  if (later_.empty() && names.size() <= most) {
    SortByName(names);
    return names;
  }
  if (names.size() > most) Defer(std::exchange(names, {}));
  while (!later_.empty() && names.size() < most) {
    names.push_back(std::move(later_.back().second));
    later_.pop_back();
  }
  SortByName(names);
  return Once(std::move(names));  // one that waited may have been touched meanwhile
}

void PendingNames::Defer(std::vector<Name> names) {
  const auto falls = [](const auto& a, const auto& b) { return a.first > b.first; };
  Later added;
  added.reserve(names.size());
  for (Name& name : names) {
    const std::uint64_t hash = HashBytes(*name.name).low;
    added.emplace_back(hash, std::move(name));
  }
  std::sort(added.begin(), added.end(), falls);
  Later merged;
  merged.reserve(later_.size() + added.size());
  std::merge(std::make_move_iterator(later_.begin()), std::make_move_iterator(later_.end()),
             std::make_move_iterator(added.begin()), std::make_move_iterator(added.end()),
             std::back_inserter(merged), falls);
  later_ = std::move(merged);
}

}  // namespace contour::xds
