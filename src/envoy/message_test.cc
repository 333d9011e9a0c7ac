// SPDX-License-Identifier: Apache-2.0
#include "envoy/message.h"

#include <google/protobuf/duration.pb.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "envoy/config/route/v3/route.pb.h"
#include "envoy/resource.h"

namespace contour::envoy {
namespace {

TEST(TextTest, KeepsWhatEnvoyTakes) {
  for (const std::string text :
       {"", "/", "/a b\t?c=d#e", "caf\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\\xff"}) {
    EXPECT_EQ(Text(text), text);
  }
}

TEST(TextTest, EscapesTheRest) {
  EXPECT_EQ(Text("a\nb\r"), "a\\x0ab\\x0d");
  EXPECT_EQ(Text(std::string("\0", 1)), "\\x00");
  EXPECT_EQ(Text("\x7f"), "\\x7f");
  EXPECT_EQ(Text("\xff\xfe"), "\\xff\\xfe");
  EXPECT_EQ(Text("\xc3"), "\\xc3");                             // cut off
  EXPECT_EQ(Text("\xe2\x82"), "\\xe2\\x82");                    // cut off
  EXPECT_EQ(Text("\xf0\x9f\x98z"), "\\xf0\\x9f\\x98z");         // cut off
  EXPECT_EQ(Text("\xc0\xaf"), "\\xc0\\xaf");                    // overlong
  EXPECT_EQ(Text("\xe0\x9f\xbf"), "\\xe0\\x9f\\xbf");           // overlong
  EXPECT_EQ(Text("\xed\xa0\x80"), "\\xed\\xa0\\x80");           // surrogate
  EXPECT_EQ(Text("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // above U+10FFFF
  EXPECT_EQ(Text("\xc3\xa9\xff"), "\xc3\xa9\\xff");
}

TEST(SetDurationTest, StaysWithinWhatEnvoyTakes) {
  using namespace std::chrono_literals;
  google::protobuf::Duration duration;
  SetDuration(1500ms, &duration);
  EXPECT_EQ(duration.ShortDebugString(), "seconds: 1 nanos: 500000000");
  SetDuration(-1ns, &duration);
  EXPECT_EQ(duration.ShortDebugString(), "");
  SetDuration(std::chrono::seconds::min(), &duration);
  EXPECT_EQ(duration.ShortDebugString(), "");
  SetDuration(std::chrono::seconds::max(), &duration);
  EXPECT_EQ(duration.ShortDebugString(), "seconds: 3153600000");
  SetDuration(std::chrono::nanoseconds::max(), &duration);
  EXPECT_EQ(duration.ShortDebugString(), "seconds: 3153600000");
}

TEST(IsIPTest, Literals) {
  for (const std::string good : {"10.0.0.1", "::1", "fd00::1", "0.0.0.0", "::ffff:10.0.0.1"}) {
    EXPECT_TRUE(IsIP(good)) << good;
  }
  for (const std::string& bad : {std::string(), std::string("contour"), std::string("10.0.0"),
                                 std::string("[::1]"), std::string("10.0.0.1\0x", 10)}) {
    EXPECT_FALSE(IsIP(bad)) << bad;
  }
}

TEST(AppendPartTest, GivesTheMessage) {
  ::envoy::config::route::v3::RouteConfiguration want;
  want.set_name("x");
  std::string bytes = Serialize(want);
  for (const std::size_t size : {0UL, 1UL, 127UL, 128UL, 20000UL}) {
    auto* host = want.add_virtual_hosts();
    host->set_name(std::string(size, 'h'));
    AppendPart(kVirtualHostsField, Serialize(*host), &bytes);
  }
  ::envoy::config::route::v3::RouteConfiguration got;
  ASSERT_TRUE(got.ParseFromString(bytes));
  EXPECT_EQ(got.DebugString(), want.DebugString());
}

}  // namespace
}  // namespace contour::envoy
