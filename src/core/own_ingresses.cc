// SPDX-License-Identifier: Apache-2.0

#include "core/own_ingresses.h"

#include <optional>
#include <string>

#include "api/ingress.h"
#include "api/ingress_class.h"
#include "graph/kinds/ingress/ingress_class.h"

namespace contour::core {
namespace {

bool IsOurs(const api::ObjectRef& ref, const graph::Engine& engine, const graph::Options& options) {
  const auto* ingress = api::As<api::Ingress>(engine.FindObject(ref));
  if (ingress == nullptr) return false;
  const std::optional<std::string> name = graph::ingress::NamedClass(*ingress);
  const api::Object* named =
      name ? engine.FindObject({api::Kind::kIngressClass, "", *name}) : nullptr;
  return graph::ingress::IsOurs(*ingress, api::As<api::IngressClass>(named), options);
}

}  // namespace

std::vector<std::pair<api::ObjectRef, bool>> OwnIngresses::Apply(
    const std::vector<api::Change>& changes, const graph::Engine& engine,
    const graph::Options& options) {
  std::set<api::ObjectRef> touched;
  bool class_changed = false;
  for (const api::Change& change : changes) {
    if (change.ref.kind == api::Kind::kIngress) touched.insert(change.ref);
    class_changed = class_changed || change.ref.kind == api::Kind::kIngressClass;
  }
  if (class_changed) {
    for (const auto& [ref, ours] : ours_) touched.insert(ref);
  }
  std::vector<std::pair<api::ObjectRef, bool>> changed;
  for (const api::ObjectRef& ref : touched) {
    const bool before = ours_.contains(ref) && ours_.at(ref);
    const bool now = IsOurs(ref, engine, options);
    if (before != now) changed.emplace_back(ref, now);
    if (engine.FindObject(ref) == nullptr) {
      ours_.erase(ref);
    } else {
      ours_[ref] = now;
    }
  }
  return changed;
}

}  // namespace contour::core
