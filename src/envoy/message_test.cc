// SPDX-License-Identifier: Apache-2.0
#include "envoy/message.h"

#include <arpa/inet.h>
#include <google/protobuf/duration.pb.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "envoy/config/route/v3/route.pb.h"
#include "envoy/resource.h"

namespace contour::envoy {
namespace {

TEST(PackTest, GivesTheNameAndTheBytes) {
  ::envoy::config::route::v3::VirtualHost host;
  host.set_name("a");
  (*host.mutable_typed_per_filter_config())["c"].set_value("1");
  (*host.mutable_typed_per_filter_config())["b"].set_value("2");
  google::protobuf::Any any;
  Pack(host, &any);
  EXPECT_EQ(any.type_url(), "type.googleapis.com/" +
                                ::envoy::config::route::v3::VirtualHost::descriptor()->full_name());
  EXPECT_EQ(any.value(), Serialize(host));
  Pack(google::protobuf::Duration(), &any);  // nothing of what was there before stays
  EXPECT_EQ(any.type_url(), "type.googleapis.com/google.protobuf.Duration");
  EXPECT_EQ(any.value(), "");
}

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

TEST(IsIPTest, AgreesWithTheSystem) {
  const auto system_says = [](const std::string& host) {
    in6_addr unused{};
    return inet_pton(AF_INET, host.c_str(), &unused) == 1 ||
           inet_pton(AF_INET6, host.c_str(), &unused) == 1;
  };
  int good = 0;
  std::mt19937 random(1);  // NOLINT: the same texts in every run
  const std::vector<std::string> pieces = {
      ":", ":",        "::",      "0",         "1",        "ff", "12ab",        "12345", "g",
      ".", "10.0.0.1", "1.2.3.4", "256.1.1.1", "01.2.3.4", "%1", "1:2:3:4:5:6", "."};
  for (int i = 0; i < 200000; ++i) {
    std::string host;
    const unsigned count = random() % 9;
    for (unsigned j = 0; j < count; ++j) host += pieces[random() % pieces.size()];
    const bool want = system_says(host);
    ASSERT_EQ(IsIP(host), want) << host;
    good += want ? 1 : 0;
  }
  EXPECT_GT(good, 1000);
}

TEST(IsIPTest, Literals) {
  for (const char* good : {"10.0.0.1", "0.0.0.0", "255.255.255.255", "::", "::1", "fd00::1",
                           "::ffff:10.0.0.1", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:1.2.3.4"}) {
    EXPECT_TRUE(IsIP(good)) << good;
  }
  for (const std::string& bad :
       {std::string(), std::string("contour"), std::string("10.0.0"), std::string("[::1]"),
        std::string("fe80::1%eth0"), std::string("10.0.0.1\0x", 10), std::string("1::2::3")}) {
    EXPECT_FALSE(IsIP(bad)) << bad;
  }
}

}  // namespace
}  // namespace contour::envoy
