// SPDX-License-Identifier: Apache-2.0

#include "xds/session/secret_subscriptions.h"

namespace contour::xds {

bool SecretSubscriptions::Add(const std::string& name, bool exists) {
  std::string lower = LowerCase(name);
  const bool spelled = lower != name && !SpellingsOf(lower).contains(name);
  if ((!exists && unknown_.size() >= kUnknown && !unknown_.contains(name)) ||
      (spelled && spelled_ >= kSpellings)) {
    forgot_ = true;
    return false;
  }
  if (!exists) unknown_.insert(name);
  share_.Change(unknown_.size());
  if (spelled) {
    spellings_[std::move(lower)].insert(name);
    ++spelled_;
  }
  return true;
}

void SecretSubscriptions::Remove(const std::string& name) {
  unknown_.erase(name);
  share_.Change(unknown_.size());
  const auto at = spellings_.find(LowerCase(name));
  if (at == spellings_.end() || at->second.erase(name) == 0) return;
  --spelled_;
  if (at->second.empty()) spellings_.erase(at);
}

void SecretSubscriptions::SetExists(const std::string& name, bool exists) {
  if (exists) {
    unknown_.erase(name);
  } else {
    unknown_.insert(name);
  }
  share_.Change(unknown_.size());
}

const StringSet& SecretSubscriptions::SpellingsOf(std::string_view name) const {
  static const StringSet kNone;
  const auto at = spellings_.find(name);
  return at == spellings_.end() ? kNone : at->second;
}

}  // namespace contour::xds
