// SPDX-License-Identifier: Apache-2.0
// The API server's discovery: the proof that it doesn't have a kind. A list that answers 404 proves
// nothing, as a balancer or a proxy before the server answers so, too.
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
// "/apis/contour.heptio.com/v1beta1", of a kind that isn't in the core group.
std::string ResourcesPath(api::Kind kind);

// True if the answer of kGroupsPath names the group and version of `kind`. kInvalidArgument: it is
// no such answer of an API server; one names, whatever is installed, the groups that all have.
absl::StatusOr<bool> HasVersion(std::string_view body, api::Kind kind);
// True if the answer of ResourcesPath(kind) names the resource of `kind`. kInvalidArgument as
// above.
absl::StatusOr<bool> HasResource(std::string_view body, api::Kind kind);

}  // namespace contour::kube
