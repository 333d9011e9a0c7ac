// SPDX-License-Identifier: Apache-2.0

#include "admin/ingress_route_counts.h"

#include <vector>

namespace contour::admin {

struct IngressRouteCounts::Figures {
  using Shown = std::vector<std::pair<std::string, std::size_t>>;

  std::string ns;
  std::size_t all = 0;
  std::size_t roots = 0;
  std::size_t orphaned = 0;
  Shown valid;  // by host, at most kOwnHosts and one for the others
  Shown invalid;
};

void IngressRouteCounts::Step(ByHost& numbers, const std::string& host, bool in) {
  Step(numbers.all, in);
  const auto entry = numbers.hosts.try_emplace(host, 0).first;
  Step(entry->second, in);
  if (entry->second == 0) numbers.hosts.erase(entry);
}

void IngressRouteCounts::Count(const std::string& ns, const Object& object, bool in) {
  if (!object.state) return;
  Namespace& counts = namespaces_[ns];
  Step(counts.all, in);
  if (object.root) Step(counts.roots, in);
  switch (*object.state) {
    case State::kValid:
      Step(counts.valid, object.vhost, in);
      break;
    case State::kInvalid:
      Step(counts.invalid, object.vhost, in);
      break;
    case State::kOrphaned:
      Step(counts.orphaned, in);
      break;
    case State::kUnknown:
      break;
  }
  if (counts.all == 0) namespaces_.erase(ns);
}

void IngressRouteCounts::SetStatus(const std::string& ns, const std::string& name,
                                   const std::optional<graph::Status>& status) {
  const MutexLock lock(mutex_);
  Object& object = objects_[{ns, name}];
  Count(ns, object, false);
  object.state.reset();
  object.vhost.clear();
  if (status) {
    object.vhost = status->entries.front()->vhost;
    const graph::Condition& summary = status->Summary();
    object.state = summary.truth == graph::Condition::Truth::kTrue      ? State::kValid
                   : summary.truth == graph::Condition::Truth::kUnknown ? State::kUnknown
                   : summary.reason == "orphaned"                       ? State::kOrphaned
                                                                        : State::kInvalid;
  }
  Count(ns, object, true);
  if (!object.state && !object.root) objects_.erase({ns, name});
}

void IngressRouteCounts::SetRoot(const std::string& ns, const std::string& name,
                                 std::optional<bool> root) {
  const MutexLock lock(mutex_);
  Object& object = objects_[{ns, name}];
  Count(ns, object, false);
  object.root = root.value_or(false);
  Count(ns, object, true);
  if (!object.state && !object.root) objects_.erase({ns, name});
}

std::optional<IngressRouteCounts::Figures> IngressRouteCounts::After(const std::string& ns) const {
  const auto shown = [](const ByHost& numbers) {
    Figures::Shown list;
    std::size_t others = numbers.all;
    for (const auto& [host, number] : numbers.hosts) {
      if (list.size() == kOwnHosts) break;
      list.emplace_back(host, number);
      others -= number;
    }
    if (others > 0) list.emplace_back(kOthers, others);
    return list;
  };
  const MutexLock lock(mutex_);
  const auto found = namespaces_.upper_bound(ns);
  if (found == namespaces_.end()) return std::nullopt;
  const Namespace& counts = found->second;
  return Figures{found->first,    counts.all,          counts.roots,
                 counts.orphaned, shown(counts.valid), shown(counts.invalid)};
}

void IngressRouteCounts::AddTo(MetricsText& text) const {
  std::string last;
  while (const std::optional<Figures> figures = After(last)) {
    last = figures->ns;
    text.Set("contour_ingressroute_total", figures->all, last);
    if (figures->roots > 0) text.Set("contour_ingressroute_root_total", figures->roots, last);
    if (figures->orphaned > 0)
      text.Set("contour_ingressroute_orphaned_total", figures->orphaned, last);
    for (const auto& [host, number] : figures->valid)
      text.Set("contour_ingressroute_valid_total", number, last, host);
    for (const auto& [host, number] : figures->invalid)
      text.Set("contour_ingressroute_invalid_total", number, last, host);
  }
}

}  // namespace contour::admin
