// SPDX-License-Identifier: Apache-2.0
// Metrics in Prometheus' text format, made when they are asked for out of what the rooms count. A
// series of something that vanished is thereby gone.
//
//   MetricsText text;
//   text.Gauge("contour_xds_streams", "Open xDS streams", {}, 3);
//   return text.String();

#pragma once

#include <map>
#include <memory>
#include <string>

namespace contour::admin {

class MetricsText {
 public:
  using Labels = std::map<std::string, std::string>;

  MetricsText();
  ~MetricsText();
  MetricsText(const MetricsText&) = delete;
  MetricsText& operator=(const MetricsText&) = delete;

  // Series of one name are given one after the other, with the same help text.
  void Gauge(const std::string& name, const std::string& help, const Labels& labels, double value);
  void Counter(const std::string& name, const std::string& help, const Labels& labels,
               double value);

  std::string String() const;

 private:
  struct Families;
  std::unique_ptr<Families> families_;
};

}  // namespace contour::admin
