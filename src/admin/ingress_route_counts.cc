// SPDX-License-Identifier: Apache-2.0

#include "admin/ingress_route_counts.h"

namespace contour::admin {
namespace {

void Step(std::size_t& number, bool in) { in ? ++number : --number; }

void Step(std::map<std::string, std::size_t>& numbers, const std::string& key, bool in) {
  const auto entry = numbers.try_emplace(key, 0).first;
  Step(entry->second, in);
  if (entry->second == 0) numbers.erase(entry);
}

}  // namespace

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
    object.vhost = status->vhost;
    object.state = status->current_status == "valid"      ? State::kValid
                   : status->current_status == "orphaned" ? State::kOrphaned
                   : status->current_status == "unknown"  ? State::kUnknown
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

void IngressRouteCounts::AddTo(MetricsText& text) const {
  const MutexLock lock(mutex_);
  const auto by_host = [&](const ByHost& numbers, auto set) {
    std::size_t own = 0;
    std::size_t others = 0;
    for (const auto& [host, number] : numbers) {
      if (++own <= kOwnHosts) {
        set(host, number);
      } else {
        others += number;
      }
    }
    if (others > 0) set(std::string(kOthers), others);
  };
  for (const auto& [ns, counts] : namespaces_) {
    text.Set("contour_ingressroute_total", counts.all, ns);
    if (counts.roots > 0) text.Set("contour_ingressroute_root_total", counts.roots, ns);
    if (counts.orphaned > 0) text.Set("contour_ingressroute_orphaned_total", counts.orphaned, ns);
    by_host(counts.valid, [&, &name = ns](const std::string& host, std::size_t number) {
      text.Set("contour_ingressroute_valid_total", number, name, host);
    });
    by_host(counts.invalid, [&, &name = ns](const std::string& host, std::size_t number) {
      text.Set("contour_ingressroute_invalid_total", number, name, host);
    });
  }
}

}  // namespace contour::admin
