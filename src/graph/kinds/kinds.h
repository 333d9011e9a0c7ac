// SPDX-License-Identifier: Apache-2.0
// The table of kinds that the graph knows more of than that they are objects.
//
//   Engine engine(options, Kinds());

#pragma once

#include "graph/engine/kind_row.h"

namespace contour::graph {

const KindTable& Kinds();

}  // namespace contour::graph
