// SPDX-License-Identifier: Apache-2.0
// Writes metrics in Prometheus' text format. The text is made for each scrape from the numbers of
// the rooms, so the series of an object that is gone are gone too.
//
// Example:
//   MetricsText text;
//   text.Set("contour_xds_streams", 3);
//   text.Set("contour_kube_objects", 120, "Service");  // values of the labels, as declared
//   const std::string page = text.String();
//
// Names, types, labels and help texts are those of admin/families.h; anything else doesn't compile.
// The order of the calls doesn't matter. A family has at most Family::limit series, the first ones
// by their labels. A series may be set once. To be used on one thread.

#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "admin/families.h"
#include "base/latency.h"

namespace contour::admin {

// A summary with the quantiles 0.5, 0.9 and 0.99 of the last ten minutes. Its methods may be called
// on any thread.
class LatencySummary {
 public:
  LatencySummary();
  ~LatencySummary();
  void Observe(std::chrono::nanoseconds time);

 private:
  friend class MetricsText;
  class Impl;
  std::unique_ptr<Impl> impl_;
};

class MetricsText {
 public:
  MetricsText();
  ~MetricsText();
  MetricsText(const MetricsText&) = delete;
  MetricsText& operator=(const MetricsText&) = delete;

  // Sets a counter or gauge.
  template <typename Number, typename... Values>
    requires std::is_arithmetic_v<Number>
  void Set(std::type_identity_t<FamilyName<sizeof...(Values)>> name, Number value,
           const Values&... labels) {
    SetNumber(name.family(), {std::string(labels)...}, static_cast<double>(value));
  }
  template <typename Rep, typename Period, typename... Values>
  void Set(std::type_identity_t<FamilyName<sizeof...(Values)>> name,
           std::chrono::duration<Rep, Period> value, const Values&... labels) {
    SetNumber(name.family(), {std::string(labels)...},
              std::chrono::duration<double>(value).count());
  }
  // Sets a histogram.
  template <typename... Values>
  void Set(std::type_identity_t<FamilyName<sizeof...(Values)>> name, const LatencyValues& value,
           const Values&... labels) {
    SetHistogram(name.family(), {std::string(labels)...}, value);
  }
  void Set(FamilyName<0> name, const LatencySummary& summary);

  // Returns the families in the order of their declarations, the series by their labels.
  std::string String() const;

 private:
  using LabelValues = std::vector<std::string>;
  struct Series;
  struct AllSeries;

  void SetNumber(const Family& family, LabelValues labels, double value);
  void SetHistogram(const Family& family, LabelValues labels, const LatencyValues& value);

  // Returns nullptr if the family has enough other series.
  Series* Find(const Family& family, LabelValues labels);

  std::map<const Family*, AllSeries> families_;
};

}  // namespace contour::admin
