// SPDX-License-Identifier: Apache-2.0

#include "envoy/host_lookup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/http/lua/v3/lua.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/listener.h"

namespace contour::envoy {
namespace {

using ::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using testing::ElementsAre;

HttpConnectionManager Manager(const ListenerOptions& options, const HostLookup& lookup) {
  ::envoy::config::listener::v3::Listener listener;
  EXPECT_TRUE(listener.ParseFromString(HTTPListener(options, lookup).bytes));
  HttpConnectionManager manager;
  EXPECT_TRUE(listener.filter_chains(0).filters(0).typed_config().UnpackTo(&manager));
  return manager;
}

// What the filters do: the name, and of Lua which program.
template <typename Filters>
std::vector<std::string> Steps(const Filters& filters) {
  std::vector<std::string> steps;
  for (const auto& filter : filters) {
    std::string step = filter.name();
    ::envoy::extensions::filters::http::lua::v3::Lua lua;
    if (filter.typed_config().UnpackTo(&lua)) {
      EXPECT_TRUE(lua.has_clear_route_cache() && !lua.clear_route_cache().value()) << step;
      const std::string& program = lua.default_source_code().inline_string();
      if (program == ExactProgram()) step += " exact";
      for (std::size_t labels = 1; labels < 5; ++labels) {
        if (program == WildcardProgram(labels)) step += " wildcard " + std::to_string(labels);
      }
      if (program == AnyHostProgram()) step += " any";
      if (program == RestoreProgram()) step += " restore";
      if (program == UpgradeProgram()) step += " refuse";
    }
    steps.push_back(step);
  }
  return steps;
}

TEST(HostLookup, LooksHostsUpByTheAuthority) {
  const HttpConnectionManager manager = Manager({.delivery = Delivery::kSharded}, {});
  EXPECT_FALSE(manager.has_rds());
  ASSERT_TRUE(manager.has_scoped_routes());
  EXPECT_TRUE(manager.scoped_routes().rds_config_source().has_ads());
  EXPECT_TRUE(manager.scoped_routes().scoped_rds().scoped_rds_config_source().has_ads());
  const auto& builder = manager.scoped_routes().scope_key_builder();
  ASSERT_EQ(builder.fragments_size(), 1);
  EXPECT_EQ(builder.fragments(0).header_value_extractor().name(), ":authority");
  EXPECT_EQ(builder.fragments(0).header_value_extractor().index(), 0U);
  EXPECT_TRUE(builder.fragments(0).header_value_extractor().element_separator().empty());
}

TEST(HostLookup, OnlyTheStepsThatCanFindSomething) {
  const ListenerOptions options{.delivery = Delivery::kSharded};
  EXPECT_THAT(
      Steps(Manager(options, {}).http_filters()),
      ElementsAre("contour.host exact", "contour.host restore", "envoy.filters.http.compressor",
                  "envoy.filters.http.grpc_web", "envoy.filters.http.router"));
  const HttpConnectionManager manager = Manager(options, {{1, 3}, true});
  EXPECT_THAT(
      Steps(manager.http_filters()),
      ElementsAre("contour.host exact", "contour.host wildcard 3", "contour.host wildcard 1",
                  "contour.host any", "contour.host restore", "envoy.filters.http.compressor",
                  "envoy.filters.http.grpc_web", "envoy.filters.http.router"));
  ASSERT_EQ(manager.upgrade_configs_size(), 1);
  EXPECT_EQ(manager.upgrade_configs(0).upgrade_type(), "websocket");
  EXPECT_THAT(Steps(manager.upgrade_configs(0).filters()),
              ElementsAre("contour.host exact", "contour.host wildcard 3",
                          "contour.host wildcard 1", "contour.host any", "contour.host restore",
                          "contour.upgrade refuse", "envoy.filters.http.compressor",
                          "envoy.filters.http.grpc_web", "envoy.filters.http.router"));
}

TEST(HostLookup, NothingOfItInTheClassicShape) {
  const HttpConnectionManager manager = Manager({}, {{2}, true});
  EXPECT_TRUE(manager.has_rds());
  EXPECT_TRUE(manager.upgrade_configs().empty());
  EXPECT_THAT(Steps(manager.http_filters()),
              ElementsAre("envoy.filters.http.compressor", "envoy.filters.http.grpc_web",
                          "envoy.filters.http.router"));
}

TEST(HostLookup, WildcardLabels) {
  EXPECT_EQ(WildcardLabels("*.com"), 1U);
  EXPECT_EQ(WildcardLabels("*.example.com"), 2U);
  EXPECT_EQ(WildcardLabels("*"), 0U);
  EXPECT_EQ(WildcardLabels("a.example.com"), 0U);
  EXPECT_EQ(WildcardLabels(""), 0U);
}

}  // namespace
}  // namespace contour::envoy
