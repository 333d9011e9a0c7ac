// SPDX-License-Identifier: Apache-2.0

#include "xds/session/nack_bisection.h"

#include <algorithm>
#include <iterator>

namespace contour::xds {
namespace {

// True for the characters of which our names are made: a neighbour of these makes another name.
bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '/' || c == '*';
}

// Returns the suspects that the error message names. A resource's own name counts only if it names
// no part.
NackBisection::Suspects Named(const NackBisection::Suspects& suspects,
                              std::string_view error_message) {
  NackBisection::Suspects named;
  for (const auto& [key, version] : suspects) {
    if (Names(error_message, key.second.has_value() ? *key.second : key.first))
      named.emplace(key, version);
  }
  if (!named.empty()) return named;
  for (const auto& [key, version] : suspects) {
    if (Names(error_message, key.first)) named.emplace(key, version);
  }
  return named;
}

}  // namespace

std::size_t FindName(std::string_view error_message, std::string_view name) {
  if (name.empty()) return std::string_view::npos;
  for (std::size_t at = error_message.find(name); at != std::string_view::npos;
       at = error_message.find(name, at + 1)) {
    const std::size_t end = at + name.size();
    // A dot belongs to the name if more of one follows it.
    const bool before =
        at == 0 || !(IsNameCharacter(error_message[at - 1]) || error_message[at - 1] == '.');
    const bool after = end == error_message.size() ||
                       !(IsNameCharacter(error_message[end]) ||
                         (error_message[end] == '.' && end + 1 < error_message.size() &&
                          IsNameCharacter(error_message[end + 1])));
    if (before && after) return at;
  }
  return std::string_view::npos;
}

bool Names(std::string_view error_message, std::string_view name) {
  return FindName(error_message, name) != std::string_view::npos;
}

bool NackBisection::Contains(const Suspects& suspects, const Key& key, const Hash128& version) {
  const auto at = suspects.find(key);
  return at != suspects.end() && at->second == version;
}

void NackBisection::MakeUnknown(const Group& group) {
  if (group.suspects.empty()) return;
  if (unknown_.error_message.empty()) unknown_.error_message = group.error_message;
  for (const auto& [key, version] : group.suspects)
    unknown_.suspects.insert_or_assign(key, version);
}

void NackBisection::Found(const Group& group) {
  const auto& [key, version] = *group.suspects.begin();
  culprits_.push_back({key, version, group.error_message, group.confirmed});
  ++fruitless_;
}

void NackBisection::OnNacked(const Suspects& suspects, std::string error_message, bool tested,
                             bool explained) {
  if (tested) {
    testing_ = false;
    MakeUnknown(std::exchange(complement_, {}));
  }
  Suspects fresh;
  for (const auto& [key, version] : suspects) {
    const bool guilty = std::any_of(guilty_.begin(), guilty_.end(),
                                    [&, k = &key, v = &version](const Group& group) {
                                      return Contains(group.suspects, *k, *v);
                                    });
    if (guilty || Contains(unknown_.suspects, key, version)) {
      explained = true;
    } else {
      fresh.emplace(key, version);
    }
  }
  if (tested) test_ = {};  // `suspects` may be it
  if (fresh.empty()) return;
  Group group;
  group.named = Named(fresh, error_message);
  group.suspects = std::move(fresh);
  group.error_message = std::move(error_message);
  if (explained) {
    MakeUnknown(group);
  } else {
    guilty_.push_back(std::move(group));
  }
}

void NackBisection::OnAcked(const Carried& carried) {
  const bool whole =
      std::all_of(test_.suspects.begin(), test_.suspects.end(),
                  [&](const auto& item) { return carried(item.first, item.second); });
  Group complement = std::exchange(complement_, {});
  if (whole && !complement.suspects.empty()) {
    complement.confirmed = true;
    guilty_.push_back(std::move(complement));
  } else {
    MakeUnknown(complement);
  }
  testing_ = false;
  test_ = {};
  progress_ = true;
  fruitless_ = 0;
}

void NackBisection::OnNothing() {
  MakeUnknown(std::exchange(complement_, {}));
  testing_ = false;
  test_ = {};
}

void NackBisection::Prune(const Carried& present) {
  const auto prune = [&](Suspects& suspects) {
    return std::erase_if(suspects,
                         [&](const auto& item) { return !present(item.first, item.second); }) > 0;
  };
  prune(unknown_.suspects);
  std::vector<Group> guilty = std::exchange(guilty_, {});
  for (Group& group : guilty) {
    if (prune(group.suspects)) {
      MakeUnknown(group);
    } else {
      guilty_.push_back(std::move(group));
    }
  }
}

NackBisection::Step NackBisection::Advance(const Carried& present) {
  Prune(present);
  for (;;) {
    if (fruitless_ >= kFruitless && active()) {
      testing_ = true;
      return Step::kControl;
    }
    if (!unknown_.suspects.empty() && (progress_ || guilty_.empty())) {
      test_ = std::exchange(unknown_, {});
      progress_ = false;
      testing_ = true;
      return Step::kTest;
    }
    if (guilty_.empty()) {
      unknown_ = {};
      progress_ = false;
      return Step::kOver;
    }
    Group group = std::move(guilty_.back());
    guilty_.pop_back();
    if (group.suspects.size() == 1) {
      Found(group);
      continue;
    }
    test_.error_message = complement_.error_message = group.error_message;
    if (!group.named.empty() && group.named.size() < group.suspects.size()) {
      complement_.suspects = std::move(group.named);
      for (const auto& item : complement_.suspects) group.suspects.erase(item.first);
      test_.suspects = std::move(group.suspects);
    } else {
      const auto middle =
          std::next(group.suspects.begin(), static_cast<std::ptrdiff_t>(group.suspects.size() / 2));
      test_.suspects = Suspects(group.suspects.begin(), middle);
      complement_.suspects = Suspects(middle, group.suspects.end());
    }
    testing_ = true;
    return Step::kTest;
  }
}

std::vector<NackBisection::Culprit> NackBisection::GiveUp() {
  std::vector<Culprit> all;
  ForEach([&](const Key& key, const Hash128& version, const std::string& error_message) {
    all.push_back({key, version, error_message, false});
  });
  *this = {};
  return all;
}

void NackBisection::ForEachWithheld(
    const std::string& resource, const std::function<void(const Key&, const Hash128&)>& f) const {
  const auto each = [&](const Suspects& suspects) {
    for (auto at = suspects.lower_bound({resource, std::nullopt});
         at != suspects.end() && at->first.first == resource; ++at)
      f(at->first, at->second);
  };
  each(unknown_.suspects);
  each(complement_.suspects);
  for (const Group& group : guilty_) each(group.suspects);
}

void NackBisection::ForEach(
    const std::function<void(const Key&, const Hash128&, const std::string&)>& f) const {
  ForEachGroup([&](const Group& group) {
    for (const auto& [key, version] : group.suspects) f(key, version, group.error_message);
  });
}

void NackBisection::ForEachOf(
    const std::string& resource,
    const std::function<void(const Key&, const Hash128&, const std::string&)>& f) const {
  ForEachGroup([&](const Group& group) {
    for (auto at = group.suspects.lower_bound({resource, std::nullopt});
         at != group.suspects.end() && at->first.first == resource; ++at)
      f(at->first, at->second, group.error_message);
  });
}

}  // namespace contour::xds
