// SPDX-License-Identifier: Apache-2.0
// Adds the metrics that every Prometheus client has of its process (process_*): CPU, memory, file
// descriptors.

#pragma once

#include "admin/metrics.h"

namespace contour::admin {

// Reads /proc/self. Metrics that can't be read are left out. Any thread.
void AddProcess(MetricsText& text);

}  // namespace contour::admin
