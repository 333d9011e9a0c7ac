// SPDX-License-Identifier: Apache-2.0

#include "file/manifest_set.h"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

namespace contour::file {

void ManifestSet::Unclaim(const File& file) {
  for (const api::ObjectRef& ref : file.refs) {
    touched_.insert(ref);
    const auto claims = claims_.find(ref);
    if (claims == claims_.end()) continue;  // the second of two equal refs
    std::erase_if(claims->second, [&](const Claim& claim) { return claim.file == &file; });
    if (claims->second.empty()) claims_.erase(claims);
  }
}

void ManifestSet::Put(const std::string& path, std::vector<api::ObjectPtr> objects) {
  const auto [entry, is_new] = files_.try_emplace(path);
  File& file = entry->second;
  Unclaim(file);
  file.yielding = false;
  file.refs.clear();
  file.refs.reserve(objects.size());
  for (api::ObjectPtr& object : objects) {
    const api::ObjectRef& ref = file.refs.emplace_back(object->Ref());
    touched_.insert(ref);
    claims_[ref].push_back({&entry->first, &file, std::move(object)});
  }
}

void ManifestSet::SetYielding(const std::string& path, bool yielding) {
  const auto file = files_.find(path);
  if (file == files_.end() || file->second.yielding == yielding) return;
  file->second.yielding = yielding;
  touched_.insert(file->second.refs.begin(), file->second.refs.end());
}

void ManifestSet::Remove(const std::string& path) {
  const auto file = files_.find(path);
  if (file == files_.end()) return;
  Unclaim(file->second);
  files_.erase(file);
}

const ManifestSet::Claim& ManifestSet::Winner(const Claims& claims) {
  // min_element returns the first of equal ones; within a file the claims are in the order of its
  // text.
  return *std::min_element(claims.begin(), claims.end(), [](const Claim& a, const Claim& b) {
    return std::tie(a.file->yielding, *a.path) < std::tie(b.file->yielding, *b.path);
  });
}

std::vector<api::Change> ManifestSet::TakeChanges() {
  std::vector<api::Change> changes;
  for (const api::ObjectRef& ref : std::exchange(touched_, {})) {
    const auto claims = claims_.find(ref);
    if (claims == claims_.end()) {
      SetShadowed(ref, {});
      if (in_force_.erase(ref) != 0) changes.push_back({ref, nullptr});
      continue;
    }
    const Claim& winner = Winner(claims->second);
    std::vector<Shadowed> shadowed;
    for (const Claim& claim : claims->second) {
      if (&claim == &winner || claim.file->yielding) continue;
      shadowed.push_back({ref, *winner.path, *claim.path});
    }
    std::sort(shadowed.begin(), shadowed.end());
    SetShadowed(ref, std::move(shadowed));
    api::ObjectPtr& in_force = in_force_[ref];
    if (in_force != nullptr && SameMeaning(*in_force, *winner.object) &&
        SameStatus(*in_force, *winner.object)) {
      continue;
    }
    in_force = winner.object;
    changes.push_back({ref, in_force});
  }
  return changes;
}

void ManifestSet::SetShadowed(const api::ObjectRef& ref, std::vector<Shadowed> shadowed) {
  const auto known = shadowed_.find(ref);
  const std::vector<Shadowed> before =
      known == shadowed_.end() ? std::vector<Shadowed>() : std::move(known->second);
  const auto note = [&](const std::vector<Shadowed>& from, const std::vector<Shadowed>& without,
                        bool now) {
    std::vector<Shadowed> difference;
    std::set_difference(from.begin(), from.end(), without.begin(), without.end(),
                        std::back_inserter(difference));
    for (Shadowed& one : difference) shadowed_changes_.emplace_back(std::move(one), now);
  };
  note(before, shadowed, false);
  note(shadowed, before, true);
  if (!shadowed.empty()) {
    shadowed_[ref] = std::move(shadowed);
  } else if (known != shadowed_.end()) {
    shadowed_.erase(known);
  }
}

std::vector<std::pair<Shadowed, bool>> ManifestSet::TakeShadowedChanges() {
  return std::exchange(shadowed_changes_, {});
}

}  // namespace contour::file
