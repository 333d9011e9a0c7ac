// SPDX-License-Identifier: Apache-2.0
// IngressClass, networking.k8s.io/v1; cluster-wide.

#pragma once

#include <string>

#include "api/object.h"

namespace contour::api {

struct IngressClass : Object {
  static constexpr Kind kKind = Kind::kIngressClass;
  IngressClass() : Object(kKind) {}

  std::string controller;   // spec.controller; ours is projectcontour.io/ingress-controller
  bool is_default = false;  // annotation ingressclass.kubernetes.io/is-default-class: "true"
};

}  // namespace contour::api
