// SPDX-License-Identifier: Apache-2.0

#include "admin/ingress_route_counts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "graph/kinds/ingressroute/status.h"

namespace contour::admin {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> Lines(const IngressRouteCounts& counts) {
  MetricsText text;
  counts.AddTo(text);
  std::istringstream all(text.String());
  std::vector<std::string> lines;
  for (std::string line; std::getline(all, line);) {
    if (!line.starts_with('#')) lines.push_back(line.substr(sizeof("contour_ingressroute_") - 1));
  }
  return lines;
}

graph::Status Of(const char* status, const char* vhost) {
  return graph::ingressroute::MakeStatus(status, "", vhost);
}

TEST(IngressRouteCounts, CountsByNamespaceAndHost) {
  IngressRouteCounts counts;
  counts.SetRoot("a", "root", true);
  counts.SetRoot("a", "blog", false);
  counts.SetRoot("a", "bad", true);
  EXPECT_THAT(Lines(counts), IsEmpty()) << "nothing is told of them yet";
  counts.SetStatus("a", "root", Of("valid", "foo.example"));
  counts.SetStatus("a", "blog", Of("valid", "foo.example"));
  counts.SetStatus("a", "bad", Of("invalid", ""));
  counts.SetStatus("b", "lost", Of("orphaned", ""));
  EXPECT_THAT(Lines(counts), ElementsAre("total{namespace=\"a\"} 3", "total{namespace=\"b\"} 1",
                                         "root_total{namespace=\"a\"} 2",
                                         "valid_total{namespace=\"a\",vhost=\"foo.example\"} 2",
                                         "invalid_total{namespace=\"a\",vhost=\"\"} 1",
                                         "orphaned_total{namespace=\"b\"} 1"));
}

TEST(IngressRouteCounts, SeriesOfWhatVanishedVanish) {
  IngressRouteCounts counts;
  counts.SetRoot("a", "root", true);
  counts.SetStatus("a", "root", Of("invalid", "foo.example"));
  counts.SetStatus("a", "root", Of("valid", "foo.example"));
  EXPECT_THAT(Lines(counts),
              ElementsAre("total{namespace=\"a\"} 1", "root_total{namespace=\"a\"} 1",
                          "valid_total{namespace=\"a\",vhost=\"foo.example\"} 1"));
  counts.SetRoot("a", "root", false);
  EXPECT_THAT(Lines(counts), ElementsAre("total{namespace=\"a\"} 1",
                                         "valid_total{namespace=\"a\",vhost=\"foo.example\"} 1"));
  counts.SetRoot("a", "root", std::nullopt);
  counts.SetStatus("a", "root", std::nullopt);
  EXPECT_THAT(Lines(counts), IsEmpty());
}

TEST(IngressRouteCounts, CountsManyHostsTogether) {
  IngressRouteCounts counts;
  for (std::size_t i = 0; i < IngressRouteCounts::kOwnHosts + 7; ++i) {
    const std::string name = "r" + std::to_string(10'000 + i);
    counts.SetStatus("a", name, Of("valid", (name + ".example").c_str()));
  }
  const std::vector<std::string> lines = Lines(counts);
  EXPECT_EQ(lines.size(), 1 + IngressRouteCounts::kOwnHosts + 1);
  EXPECT_THAT(lines, testing::Contains("valid_total{namespace=\"a\",vhost=\"(others)\"} 7"));
}

}  // namespace
}  // namespace contour::admin
