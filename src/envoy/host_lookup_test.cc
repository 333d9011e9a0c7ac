// SPDX-License-Identifier: Apache-2.0

#include "envoy/host_lookup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <regex>
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

// Returns the names of the filters and, for Lua filters, their programs.
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
      if (program == WildcardProgram()) step += " wildcard";
      if (program == AnyHostProgram()) step += " any";
      if (program == RestoreProgram()) step += " restore";
      if (program == UpgradeProgram()) step += " refuse";
    }
    if (filter.disabled()) step += " (off)";
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
  const HttpConnectionManager manager = Manager(options, {.wildcards = true, .any_host = true});
  EXPECT_THAT(Steps(manager.http_filters()),
              ElementsAre("contour.host exact", "contour.host wildcard", "contour.host any",
                          "contour.host restore", "envoy.filters.http.compressor",
                          "envoy.filters.http.grpc_web", "envoy.filters.http.router"));
  ASSERT_EQ(manager.upgrade_configs_size(), 1);
  EXPECT_EQ(manager.upgrade_configs(0).upgrade_type(), "websocket");
  EXPECT_THAT(
      Steps(manager.upgrade_configs(0).filters()),
      ElementsAre("contour.host exact", "contour.host wildcard", "contour.host any",
                  "contour.host restore", "contour.upgrade refuse", "envoy.filters.http.compressor",
                  "envoy.filters.http.grpc_web", "envoy.filters.http.router"));
}

// They are off until a route of a wildcard host asks for them.
TEST(HostLookup, ClassicDeliveryLooksForAnyHostWhereAWildcardDoesntTakeTheName) {
  const HttpConnectionManager manager = Manager({}, {.wildcards = true, .any_host = true});
  EXPECT_TRUE(manager.has_rds());
  EXPECT_TRUE(manager.upgrade_configs().empty());
  EXPECT_THAT(Steps(manager.http_filters()),
              ElementsAre("contour.host exact (off)", "contour.host any (off)",
                          "contour.host restore (off)", "contour.upgrade refuse (off)",
                          "envoy.filters.http.compressor", "envoy.filters.http.grpc_web",
                          "envoy.filters.http.router"));
}

TEST(HostLookup, ClassicDeliveryHasNoLookUpWithoutAWildcardOrAnyHost) {
  for (const HostLookup lookup : {HostLookup{}, HostLookup{.wildcards = true, .any_host = false},
                                  HostLookup{.wildcards = false, .any_host = true}}) {
    EXPECT_THAT(Steps(Manager({}, lookup).http_filters()),
                ElementsAre("envoy.filters.http.compressor", "envoy.filters.http.grpc_web",
                            "envoy.filters.http.router"));
  }
}

TEST(HostLookup, WildcardHosts) {
  EXPECT_TRUE(IsWildcardHost("*.com"));
  EXPECT_TRUE(IsWildcardHost("*.example.com"));
  EXPECT_FALSE(IsWildcardHost("*"));
  EXPECT_FALSE(IsWildcardHost("a.example.com"));
  EXPECT_FALSE(IsWildcardHost(""));
}

TEST(HostLookup, AWildcardTakesOneLabel) {
  const std::regex regex(WildcardRegex("*.a+b.com"));  // a character that a regex knows
  for (const char* name : {"x.a+b.com", "x-1.a+b.com", "x_y.a+b.com", "_x_.a+b.com", "7.a+b.com"}) {
    EXPECT_TRUE(std::regex_match(name, regex)) << name;
  }
  for (const char* name : {"a+b.com", ".a+b.com", "y.x.a+b.com", "-x.a+b.com", "x-.a+b.com",
                           "*.a+b.com", "x.aab.com", "x.a+bxcom", "x.a+b.com."}) {
    EXPECT_FALSE(std::regex_match(name, regex)) << name;
  }
}

}  // namespace
}  // namespace contour::envoy
