// SPDX-License-Identifier: Apache-2.0
// What a listener is told by objects.

#pragma once

#include <cstdint>

namespace contour::graph {

enum class TLSVersion : std::uint8_t { k1_1, k1_2, k1_3 };

}  // namespace contour::graph
