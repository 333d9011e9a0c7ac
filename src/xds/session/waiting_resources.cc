// SPDX-License-Identifier: Apache-2.0

#include "xds/session/waiting_resources.h"

#include <utility>

namespace contour::xds {

WaitingResources::~WaitingResources() {
  for (const auto& [name, held] : held_) index_.Set({stream_, type_, name}, WaitOf(held), {});
}

const HeldResource* WaitingResources::FindHeld(const std::string& name) const {
  const auto at = held_.find(name);
  return at == held_.end() ? nullptr : &at->second;
}

void WaitingResources::Hold(const std::string& name, HeldResource held) {
  held.share = Share(figures_.held_parts, held.since.size());
  figures_.examined += held.waiting_for.size();
  const auto [at, added] = held_.try_emplace(name);
  index_.Set({stream_, type_, name}, added ? HoldIndex::Wait() : WaitOf(at->second), WaitOf(held));
  at->second = std::move(held);
}

void WaitingResources::Release(const std::string& name) {
  const auto at = held_.find(name);
  if (at == held_.end()) return;
  figures_.examined += at->second.waiting_for.size();
  index_.Set({stream_, type_, name}, WaitOf(at->second), {});
  held_.erase(at);
}

HoldIndex::Wait WaitingResources::WaitOf(const HeldResource& held) const {
  std::optional<Time> due;
  if (held.earliest.has_value()) due = *held.earliest + warm_timeout_;
  return {&held.waiting_for, due};
}

}  // namespace contour::xds
