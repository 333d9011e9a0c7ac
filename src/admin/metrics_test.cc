// SPDX-License-Identifier: Apache-2.0

#include "admin/metrics.h"

#include <gtest/gtest.h>

namespace contour::admin {
namespace {

TEST(MetricsText, GroupsSeriesOfOneName) {
  MetricsText text;
  text.Gauge("streams", "Open streams", {}, 3);
  text.Counter("rejections_total", "Refused responses", {{"type", "CDS"}}, 1);
  text.Counter("rejections_total", "Refused responses", {{"type", "a\"b"}}, 0);
  EXPECT_EQ(text.String(),
            "# HELP streams Open streams\n# TYPE streams gauge\nstreams 3\n"
            "# HELP rejections_total Refused responses\n# TYPE rejections_total counter\n"
            "rejections_total{type=\"CDS\"} 1\nrejections_total{type=\"a\\\"b\"} 0\n");
}

}  // namespace
}  // namespace contour::admin
