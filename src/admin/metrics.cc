// SPDX-License-Identifier: Apache-2.0

#include "admin/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/summary.h>
#include <prometheus/text_serializer.h>

#include <iterator>
#include <limits>
#include <sstream>
#include <utility>

namespace contour::admin {
namespace {

prometheus::MetricType TypeOf(MetricType type) {
  switch (type) {
    case MetricType::kCounter:
      return prometheus::MetricType::Counter;
    case MetricType::kGauge:
      return prometheus::MetricType::Gauge;
    case MetricType::kHistogram:
      return prometheus::MetricType::Histogram;
    case MetricType::kSummary:
      return prometheus::MetricType::Summary;
  }
  return prometheus::MetricType::Untyped;
}

}  // namespace

class LatencySummary::Impl {
 public:
  // The errors of the quantiles are those of Contour 0.15.
  Impl() : summary({{0.5, 0.05}, {0.9, 0.01}, {0.99, 0.001}}, std::chrono::minutes(10), 5) {}
  prometheus::Summary summary;
};

LatencySummary::LatencySummary() : impl_(std::make_unique<Impl>()) {}
LatencySummary::~LatencySummary() = default;
void LatencySummary::Observe(std::chrono::nanoseconds time) {
  impl_->summary.Observe(std::chrono::duration<double>(time).count());
}

// A series. A counter or a gauge has only the number, since there are series for each certificate
// and each namespace.
struct MetricsText::Series {
  double number = 0;
  std::unique_ptr<prometheus::ClientMetric> measured;  // of a histogram or a summary
};

struct MetricsText::AllSeries {
  std::map<LabelValues, Series> shown;
  std::size_t left_out = 0;
};

MetricsText::MetricsText() = default;
MetricsText::~MetricsText() = default;

MetricsText::Series* MetricsText::Find(const Family& family, LabelValues labels) {
  auto& [shown, left_out] = families_[&family];
  if (const auto found = shown.find(labels); found != shown.end()) return &found->second;
  if (shown.size() >= family.limit) {
    ++left_out;
    const auto last = std::prev(shown.end());
    if (last->first < labels) return nullptr;
    shown.erase(last);
  }
  return &shown[std::move(labels)];
}

void MetricsText::SetNumber(const Family& family, LabelValues labels, double value) {
  if (Series* series = Find(family, std::move(labels)); series != nullptr) series->number = value;
}

void MetricsText::SetHistogram(const Family& family, LabelValues labels,
                               const LatencyValues& value) {
  auto metric = std::make_unique<prometheus::ClientMetric>();
  prometheus::ClientMetric::Histogram& histogram = metric->histogram;
  histogram.sample_sum = value.sum;
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < value.counts.size(); ++i) {
    count += value.counts[i];
    const double bound =
        i < kLatencyBounds.size() ? kLatencyBounds[i] : std::numeric_limits<double>::infinity();
    histogram.bucket.push_back({count, bound});
  }
  histogram.sample_count = count;
  if (Series* series = Find(family, std::move(labels)); series != nullptr)
    series->measured = std::move(metric);
}

void MetricsText::Set(FamilyName<0> name, const LatencySummary& summary) {
  Find(name.family(), {})->measured =
      std::make_unique<prometheus::ClientMetric>(summary.impl_->summary.Collect());
}

std::string MetricsText::String() const {
  std::ostringstream text;
  // One family after the other: the library's form of a series takes half a kilobyte.
  const auto add = [&](const Family& family, const std::map<LabelValues, Series>& all) {
    prometheus::MetricFamily made;
    made.name = family.name;
    made.help = family.help;
    made.type = TypeOf(family.type);
    for (const auto& [values, series] : all) {
      prometheus::ClientMetric& metric = made.metric.emplace_back();
      if (series.measured != nullptr) {
        metric = *series.measured;
      } else if (family.type == MetricType::kCounter) {
        metric.counter.value = series.number;
      } else {
        metric.gauge.value = series.number;
      }
      for (std::size_t i = 0; i < values.size(); ++i)
        metric.label.push_back({std::string(family.labels[i]), values[i]});
    }
    prometheus::TextSerializer().Serialize(text, {made});
  };
  std::map<LabelValues, Series> counts;
  for (const Family& family : kFamilies) {
    const auto found = families_.find(&family);
    if (found == families_.end()) continue;
    add(family, found->second.shown);
    if (found->second.left_out > 0)
      counts[{std::string(family.name)}].number = static_cast<double>(found->second.left_out);
  }
  if (!counts.empty()) add(FamilyName<1>("contour_metrics_left_out").family(), counts);
  return text.str();
}

}  // namespace contour::admin
