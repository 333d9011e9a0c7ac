// SPDX-License-Identifier: Apache-2.0

#include "admin/families.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>

namespace contour::admin {
namespace {

TEST(Families, AreWellFormed) {
  const std::set<std::string_view> of_the_reference = {
      "contour_ingressroute_total", "contour_ingressroute_root_total",
      "contour_ingressroute_valid_total", "contour_ingressroute_invalid_total",
      "contour_ingressroute_orphaned_total"};
  std::set<std::string_view> names;
  for (const Family& family : kFamilies) {
    const std::string name(family.name);
    EXPECT_TRUE(names.insert(family.name).second) << name << " twice";
    EXPECT_TRUE(std::regex_match(name, std::regex("(contour|process)(_[a-z]+)+"))) << name;
    EXPECT_FALSE(family.help.empty()) << name;
    EXPECT_GT(family.limit, 0U) << name;
    if (of_the_reference.contains(family.name)) continue;  // gauges that are called total
    EXPECT_EQ(family.name.ends_with("_total"), family.type == MetricType::kCounter) << name;
  }
}

// With CONTOUR_UPDATE=1 in the environment it writes the table into the page.
TEST(Families, EqualTheReferencePage) {
  std::ifstream file(CONTOUR_METRICS_PAGE);
  std::string page{std::istreambuf_iterator<char>(file), {}};
  const std::size_t begin = page.find("| Metric | Type |");
  const std::size_t end = page.find("|\n\n", begin);
  ASSERT_NE(end, std::string::npos) << CONTOUR_METRICS_PAGE;
  const std::string table = page.substr(begin, end + 2 - begin);
  if (std::getenv("CONTOUR_UPDATE") != nullptr) {
    std::ofstream(CONTOUR_METRICS_PAGE) << page.replace(begin, table.size(), FamiliesMarkdown());
    return;
  }
  EXPECT_EQ(table, FamiliesMarkdown())
      << "bring docs/metrics.md up to date: CONTOUR_UPDATE=1 admin_test";
}

}  // namespace
}  // namespace contour::admin
