// SPDX-License-Identifier: Apache-2.0

#include "admin/families.h"

#include <fmt/core.h>

namespace contour::admin {
namespace {

std::string_view Word(MetricType type) {
  switch (type) {
    case MetricType::kCounter:
      return "counter";
    case MetricType::kGauge:
      return "gauge";
    case MetricType::kHistogram:
      return "histogram";
    case MetricType::kSummary:
      return "summary";
  }
  return "";
}

std::string_view Word(Presence presence) {
  switch (presence) {
    case Presence::kAlways:
      return "always";
    case Presence::kCluster:
      return "with an API server";
    case Presence::kManifests:
      return "with `--manifests`";
    case Presence::kElection:
      return "with leader election";
    case Presence::kIfAny:
      return "one for each that there is";
  }
  return "";
}

}  // namespace

std::string FamiliesMarkdown() {
  std::string text = "| Metric | Type | Labels | Present | Meaning |\n|---|---|---|---|---|\n";
  for (const Family& family : kFamilies) {
    std::string labels;
    for (std::size_t i = 0; i < family.LabelCount(); ++i)
      labels += fmt::format("{}`{}`", i == 0 ? "" : ", ", family.labels[i]);
    text += fmt::format("| `{}` | {} | {} | {} | {} |\n", family.name, Word(family.type), labels,
                        Word(family.presence), family.help);
  }
  return text;
}

}  // namespace contour::admin
