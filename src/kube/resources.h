// SPDX-License-Identifier: Apache-2.0
// Returns the paths of objects on the API server.
//
// Example:
//   // "/api/v1/namespaces/default/services"
//   const std::string services = CollectionPath(api::Kind::kService, "default");
//   // "/apis/contour.heptio.com/v1beta1/namespaces/default/ingressroutes/root"
//   const std::string root = ObjectPath({api::Kind::kIngressRoute, "default", "root"});

#pragma once

#include <string>
#include <string_view>

#include "api/object.h"
#include "api/resource.h"

namespace contour::kube {

// Returns the path of the objects of a kind. `ns` empty: all namespaces, or a cluster-wide kind.
std::string CollectionPath(api::Kind kind, std::string_view ns);
std::string ObjectPath(const api::ObjectRef& ref);

// Returns the same path for kinds that have no struct: ("coordination.k8s.io/v1", "leases", "ns").
std::string CollectionPath(std::string_view api_version, std::string_view resource,
                           std::string_view ns);

using api::IsOptional;
using api::ResourceName;

// Returns the group of the kind, as in rules of RBAC: "contour.heptio.com". The core group is "".
std::string_view GroupName(api::Kind kind);

}  // namespace contour::kube
