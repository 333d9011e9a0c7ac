// SPDX-License-Identifier: Apache-2.0
// Where objects live on the API server.
//
//   CollectionPath(api::Kind::kService, "default")
//     returns "/api/v1/namespaces/default/services"
//   ObjectPath({api::Kind::kIngressRoute, "default", "root"})
//     returns "/apis/contour.heptio.com/v1beta1/namespaces/default/ingressroutes/root"

#pragma once

#include <string>
#include <string_view>

#include "api/object.h"

namespace contour::kube {

// `ns` empty: of all namespaces, or of a cluster-wide kind.
std::string CollectionPath(api::Kind kind, std::string_view ns);
std::string ObjectPath(const api::ObjectRef& ref);

// The same for kinds that have no struct: Lease, ConfigMap, Event, …
//   CollectionPath("coordination.k8s.io/v1", "leases", "projectcontour")
std::string CollectionPath(std::string_view api_version, std::string_view resource,
                           std::string_view ns);

// The names that a rule of RBAC has for the kind: resource "ingressroutes" of the group
// "contour.heptio.com", which is "" for the core group.
std::string_view ResourceName(api::Kind kind);
std::string_view GroupName(api::Kind kind);

// Defined by a CustomResourceDefinition, which may come and go while we run.
bool IsOptional(api::Kind kind);

}  // namespace contour::kube
