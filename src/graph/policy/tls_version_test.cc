// SPDX-License-Identifier: Apache-2.0

#include "graph/policy/tls_version.h"

#include <gtest/gtest.h>

#include <optional>
#include <string_view>

#include "base/status.h"

namespace contour::graph {
namespace {

TEST(MinimumTLSVersion, ConfigurationIsTheFloor) {
  Options options;
  const auto of = [&](std::string_view text) { return MinimumTLSVersion({text, "tls"}, options); };
  EXPECT_EQ(of("1.1"), TLSVersion::k1_2);
  EXPECT_EQ(of("0.9999"), TLSVersion::k1_2);
  EXPECT_EQ(of("1.3"), TLSVersion::k1_3);
  options.minimum_tls_version = TLSVersion::k1_1;
  EXPECT_EQ(of(""), TLSVersion::k1_1);
  EXPECT_EQ(of("1.2"), TLSVersion::k1_2);
}

TEST(ParseTLSVersion, WhatIsNoVersionIsNamed) {
  EXPECT_EQ(*ParseTLSVersion({"", "tls"}), std::nullopt);
  EXPECT_EQ(Message(ParseTLSVersion({"1.4", "tls"}).status()),
            "tls: expected 1.1, 1.2 or 1.3, got \"1.4\"");
}

}  // namespace
}  // namespace contour::graph
