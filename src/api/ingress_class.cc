// SPDX-License-Identifier: Apache-2.0

#include "api/ingress_class.h"

#include "api/json_reader.h"
#include "api/kinds.h"

namespace contour::api {

void Read(JsonReader& reader, IngressClass* object) {
  reader.Object("spec", [&] { reader.String("controller", &object->controller); });
  const std::string* is_default =
      object->meta.FindAnnotation("ingressclass.kubernetes.io/is-default-class");
  object->is_default = is_default != nullptr && *is_default == "true";
}

bool SameSpec(const IngressClass& a, const IngressClass& b) {
  return a.controller == b.controller && a.is_default == b.is_default;
}

}  // namespace contour::api
