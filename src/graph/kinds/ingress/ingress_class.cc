// SPDX-License-Identifier: Apache-2.0

#include "graph/kinds/ingress/ingress_class.h"

#include "graph/policy/annotation.h"

namespace contour::graph::ingress {

std::optional<std::string> NamedClass(const api::Ingress& ingress) {
  if (ClassAnnotation(ingress.meta)) return std::nullopt;
  return ingress.spec.ingress_class_name;
}

bool IsOurs(const api::Ingress& ingress, const api::IngressClass* named, const Options& options) {
  const std::string ours = options.ingress_class.value_or(kDefaultIngressClass);
  if (const auto annotated = ClassAnnotation(ingress.meta)) return *annotated == ours;
  if (!ingress.spec.ingress_class_name) return true;
  if (named != nullptr && named->controller != kIngressController) return false;
  if (*ingress.spec.ingress_class_name == ours) return true;
  return named != nullptr && !options.ingress_class;
}

}  // namespace contour::graph::ingress
