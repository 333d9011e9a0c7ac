// SPDX-License-Identifier: Apache-2.0

#include "xds/session/subscribed_names.h"

namespace contour::xds {

bool SubscribedNames::Admit(const std::string& name, bool exists) {
  if (secrets_.Add(name, exists)) return true;
  turned_away_.insert(name);
  return false;
}

void SubscribedNames::Add(const std::string& name, std::uint64_t sequence, EditToken token) {
  names_.Insert(name, token);
  if (notes_when_asked_) asked_.insert_or_assign(name, sequence);
}

bool SubscribedNames::Remove(const std::string& name) {
  turned_away_.erase(name);
  if (!names_.Erase(name)) return false;
  asked_.erase(name);
  secrets_.Remove(name);
  return true;
}

void SubscribedNames::SetAskedBefore(const std::string& name) {
  if (notes_when_asked_) asked_[name] = 0;
}

void SubscribedNames::SetAllAskedBefore() {
  for (auto& [name, sequence] : asked_) sequence = 0;
}

void SubscribedNames::NoteMissed(const std::vector<std::string>& requested) {
  const StringSet names(requested.begin(), requested.end());
  names_.ForEach([&](const NamePtr& name) {
    if (!names.contains(*name)) missed_.insert(*name);
  });
}

}  // namespace contour::xds
