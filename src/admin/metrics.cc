// SPDX-License-Identifier: Apache-2.0

#include "admin/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <sstream>
#include <vector>

namespace contour::admin {

struct MetricsText::Families {
  // The series to fill in, of the family `name`.
  prometheus::ClientMetric& Add(const std::string& name, const std::string& help,
                                prometheus::MetricType type, const Labels& labels) {
    if (list.empty() || list.back().name != name) {
      prometheus::MetricFamily family;
      family.name = name;
      family.help = help;
      family.type = type;
      list.push_back(std::move(family));
    }
    prometheus::ClientMetric& metric = list.back().metric.emplace_back();
    for (const auto& [label, value] : labels) metric.label.push_back({label, value});
    return metric;
  }

  std::vector<prometheus::MetricFamily> list;
};

MetricsText::MetricsText() : families_(std::make_unique<Families>()) {}
MetricsText::~MetricsText() = default;

void MetricsText::Gauge(const std::string& name, const std::string& help, const Labels& labels,
                        double value) {
  families_->Add(name, help, prometheus::MetricType::Gauge, labels).gauge.value = value;
}

void MetricsText::Counter(const std::string& name, const std::string& help, const Labels& labels,
                          double value) {
  families_->Add(name, help, prometheus::MetricType::Counter, labels).counter.value = value;
}

std::string MetricsText::String() const {
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, families_->list);
  return text.str();
}

}  // namespace contour::admin
