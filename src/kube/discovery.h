// SPDX-License-Identifier: Apache-2.0
// Reads the API server's discovery, which proves that a kind isn't installed. A list that answers
// 404 proves nothing, since a balancer or a proxy before the server can answer so, too.
//
//   /apis                              APIGroupList: groups with their versions
//   /apis/contour.heptio.com/v1beta1   APIResourceList: the resources of one version
//
// See https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api (unaggregated).
// Pure functions.

#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "api/object.h"

namespace contour::kube {

inline constexpr const char* kGroupsPath = "/apis";
// Returns "/apis/contour.heptio.com/v1beta1" for a kind that isn't in the core group.
std::string ResourcesPath(api::Kind kind);

// True if the answer of kGroupsPath names the group and version of `kind`. kInvalidArgument: it
// isn't such an answer of an API server, which would at least name the groups that every server
// has.
absl::StatusOr<bool> HasVersion(std::string_view body, api::Kind kind);
// True if the answer of ResourcesPath(kind) names the resource of `kind`. kInvalidArgument: it
// isn't such an answer.
absl::StatusOr<bool> HasResource(std::string_view body, api::Kind kind);

}  // namespace contour::kube
