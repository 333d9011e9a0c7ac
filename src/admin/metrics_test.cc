// SPDX-License-Identifier: Apache-2.0

#include "admin/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "admin/process_metrics.h"

namespace contour::admin {
namespace {

using std::chrono_literals::operator""ms;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

TEST(MetricsText, IsInTheOrderOfTheDeclarations) {
  MetricsText text;
  text.Set("contour_xds_rejections_total", 0, "a\"b");
  text.Set("contour_xds_streams", 7);
  text.Set("contour_xds_rejections_total", 1, "CDS");
  text.Set("contour_xds_streams", 3);  // the newer value
  EXPECT_EQ(text.String(),
            "# HELP contour_xds_streams Open xDS streams\n# TYPE contour_xds_streams gauge\n"
            "contour_xds_streams 3\n"
            "# HELP contour_xds_rejections_total xDS responses that an Envoy refused\n"
            "# TYPE contour_xds_rejections_total counter\n"
            "contour_xds_rejections_total{type=\"CDS\"} 1\n"
            "contour_xds_rejections_total{type=\"a\\\"b\"} 0\n");
}

TEST(MetricsText, CountsTheSeriesThatItLeavesOut) {
  MetricsText text;
  for (int i = 0; i < 1003; ++i)
    text.Set("contour_ingressroute_total", 1, "namespace-" + std::to_string(10'000 + i));
  const std::string shown = text.String();
  EXPECT_THAT(shown, HasSubstr("{namespace=\"namespace-10999\"}"));
  EXPECT_THAT(shown, Not(HasSubstr("{namespace=\"namespace-11000\"}")));
  EXPECT_THAT(shown,
              HasSubstr("contour_metrics_left_out{family=\"contour_ingressroute_total\"} 3"));
  MetricsText reversed;
  for (int i = 1002; i >= 0; --i)
    reversed.Set("contour_ingressroute_total", 1, "namespace-" + std::to_string(10'000 + i));
  EXPECT_EQ(reversed.String(), shown) << "whatever comes first";
}

TEST(MetricsText, HistogramsCountUpwards) {
  Latency latency;
  latency.Observe(0ms);
  latency.Observe(1ms);  // a bound belongs to its range
  latency.Observe(2ms);
  latency.Observe(std::chrono::hours(1));
  MetricsText text;
  text.Set("contour_core_derive_seconds", latency.values());
  const std::string shown = text.String();
  EXPECT_THAT(shown, HasSubstr("# TYPE contour_core_derive_seconds histogram\n"));
  EXPECT_THAT(shown, HasSubstr("_bucket{le=\"0.0005\"} 1\n"));
  EXPECT_THAT(shown, HasSubstr("_bucket{le=\"0.001\"} 2\n"));
  EXPECT_THAT(shown, HasSubstr("_bucket{le=\"0.0025\"} 3\n"));
  EXPECT_THAT(shown, HasSubstr("_bucket{le=\"30\"} 3\n"));
  EXPECT_THAT(shown, HasSubstr("_bucket{le=\"+Inf\"} 4\n"));
  EXPECT_THAT(shown, HasSubstr("contour_core_derive_seconds_count 4\n"));
  EXPECT_THAT(shown, HasSubstr("contour_core_derive_seconds_sum 3600.003"));
}

TEST(MetricsText, SummariesHaveTheQuantilesOfContour015) {
  LatencySummary summary;
  for (int i = 1; i <= 100; ++i) summary.Observe(i * 10ms);
  MetricsText text;
  text.Set("contour_cachehandler_onupdate_duration_seconds", summary);
  const std::string shown = text.String();
  EXPECT_THAT(shown, ContainsRegex("_seconds.quantile=\"0.5\". 0\\.[45]"));
  EXPECT_THAT(shown, ContainsRegex("_seconds.quantile=\"0.99\". 0\\.9[89]"));
  EXPECT_THAT(shown, HasSubstr("contour_cachehandler_onupdate_duration_seconds_count 100\n"));
}

TEST(Process, HasTheMetricsOfTheProcess) {
  MetricsText text;
  AddProcess(text);
  const std::string shown = text.String();
  EXPECT_THAT(shown, ContainsRegex("\nprocess_resident_memory_bytes [1-9]"));
  EXPECT_THAT(shown, ContainsRegex("\nprocess_start_time_seconds [1-9]"));
  EXPECT_THAT(shown, ContainsRegex("\nprocess_open_fds [1-9]"));
  EXPECT_THAT(shown, ContainsRegex("\nprocess_threads [1-9]"));
}

}  // namespace
}  // namespace contour::admin
