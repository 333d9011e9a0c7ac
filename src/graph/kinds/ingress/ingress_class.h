// SPDX-License-Identifier: Apache-2.0
// Decides which Ingresses are ours: by an annotation, else by spec.ingressClassName. An Ingress
// without any class is ours.
//
//   const std::optional<std::string> name = NamedClass(ingress);
//   IsOurs(ingress, name ? reader.Find<api::IngressClass>("", *name) : nullptr, options)
//
// Pure, any thread.

#pragma once

#include <optional>
#include <string>

#include "api/ingress.h"
#include "api/ingress_class.h"
#include "graph/model/options.h"

namespace contour::graph::ingress {

// Returns the IngressClass on which it depends whether the Ingress is ours; nullopt: on none.
std::optional<std::string> NamedClass(const api::Ingress& ingress);

// True if the Ingress is ours. `named` is the object of that name; nullptr: there is none. An
// IngressClass with another controller is never ours; the configured class is ours with or without
// an object; without configuration so is every class whose object names our controller.
bool IsOurs(const api::Ingress& ingress, const api::IngressClass* named, const Options& options);

}  // namespace contour::graph::ingress
