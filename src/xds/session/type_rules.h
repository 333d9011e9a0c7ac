// SPDX-License-Identifier: Apache-2.0
// Rules of the order in which the types are sent and of what they refer to.

#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include "xds/snapshot/resource.h"

namespace contour::xds {

// The order in which the types are sent.
inline constexpr std::array<ResourceType, kResourceTypes> kSendOrder = {
    ResourceType::kCluster,  ResourceType::kEndpoints, ResourceType::kSecret,
    ResourceType::kListener, ResourceType::kRoutes,    ResourceType::kScopedRoutes};

constexpr std::size_t SendRank(ResourceType type) {
  return static_cast<std::size_t>(std::find(kSendOrder.begin(), kSendOrder.end(), type) -
                                  kSendOrder.begin());
}

// The types whose resources and parts name clusters.
inline constexpr std::array<ResourceType, 3> kClusterUsers = {
    ResourceType::kListener, ResourceType::kRoutes, ResourceType::kScopedRoutes};

constexpr bool UsesClusters(ResourceType type) {
  return std::find(kClusterUsers.begin(), kClusterUsers.end(), type) != kClusterUsers.end();
}

}  // namespace contour::xds
