// SPDX-License-Identifier: Apache-2.0
// The table of kinds. Kinds without a row are plain objects that others read.
//
//   Engine engine(options, Kinds());

#pragma once

#include "graph/engine/kind_row.h"

namespace contour::graph {

const KindTable& Kinds();

}  // namespace contour::graph
