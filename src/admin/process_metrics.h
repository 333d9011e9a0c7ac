// SPDX-License-Identifier: Apache-2.0
// What every Prometheus client says of its process (process_*): CPU, memory, file descriptors.

#pragma once

#include "admin/metrics.h"

namespace contour::admin {

// From /proc/self; a figure that can't be read is left out. Any thread.
void AddProcess(MetricsText& text);

}  // namespace contour::admin
