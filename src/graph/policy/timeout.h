// SPDX-License-Identifier: Apache-2.0
// Time for a whole response, whoever asked for it.

#pragma once

#include <optional>
#include <string_view>

#include "graph/model/route.h"

namespace contour::graph {

// Reads a timeout as written. nullopt: Envoy's default, which "" and zero mean. "infinity" and
// whatever is no duration mean infinite (Contour 0.15: a typo must not cut long responses).
// Negative ones pass as they are.
std::optional<Timeout> ParseTimeout(std::string_view text);

}  // namespace contour::graph
