// SPDX-License-Identifier: Apache-2.0
// The kinds as resources of the API server.

#pragma once

#include <string_view>

#include "api/object.h"

namespace contour::api {

// Returns the plural name, as in paths and in rules of RBAC: "services", "ingressroutes", ….
std::string_view ResourceName(Kind kind);

// True if the kind is defined by a CustomResourceDefinition, which may come and go at any time.
bool IsOptional(Kind kind);

}  // namespace contour::api
