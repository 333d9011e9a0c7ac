// SPDX-License-Identifier: Apache-2.0

#include "graph/kinds/ingress/contour_annotations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/policy/retry.h"
#include "graph/policy/testing.h"

namespace contour::graph::ingress {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using std::chrono_literals::operator""s;

TEST(AllowHTTP, OnlyFalseForbids) {
  EXPECT_TRUE(AllowHTTP(With({})));
  EXPECT_TRUE(AllowHTTP(With({{"kubernetes.io/ingress.allow-http", "no"}})));
  EXPECT_FALSE(AllowHTTP(With({{"kubernetes.io/ingress.allow-http", "false"}})));
}

TEST(ForceSSLRedirect, OnlyTrueForces) {
  EXPECT_FALSE(ForceSSLRedirect(With({})));
  EXPECT_FALSE(ForceSSLRedirect(With({{"ingress.kubernetes.io/force-ssl-redirect", "yes"}})));
  EXPECT_TRUE(ForceSSLRedirect(With({{"ingress.kubernetes.io/force-ssl-redirect", "true"}})));
}

TEST(RequestTimeout, BothPrefixes) {
  const auto of = [](const char* key, const char* value) {
    return RequestTimeout(With({{key, value}}));
  };
  EXPECT_EQ(of("contour.heptio.com/request-timeout", ""), std::nullopt);
  EXPECT_EQ(of("contour.heptio.com/request-timeout", "0s"), std::nullopt);
  EXPECT_EQ(of("contour.heptio.com/request-timeout", "1m30s"), (Timeout{.duration = 90s}));
  for (const char* text : {"peanut", "90", "infinite", "infinity"}) {
    EXPECT_EQ(of("contour.heptio.com/request-timeout", text), (Timeout{.infinite = true})) << text;
  }
  EXPECT_EQ(of("projectcontour.io/response-timeout", "peanut"), std::nullopt);
  EXPECT_EQ(of("projectcontour.io/request-timeout", "peanut"), std::nullopt);
  for (const char* text : {"infinite", "infinity"}) {
    EXPECT_EQ(of("projectcontour.io/response-timeout", text), (Timeout{.infinite = true}));
  }
  EXPECT_EQ(RequestTimeout(With({{"projectcontour.io/response-timeout", "5s"},
                                 {"projectcontour.io/request-timeout", "6s"},
                                 {"contour.heptio.com/request-timeout", "7s"}})),
            (Timeout{.duration = 5s}));
}

TEST(WebsocketRoutes, Table) {
  const auto of = [](const char* value) {
    return WebsocketRoutes(With({{"contour.heptio.com/websocket-routes", value}}));
  };
  EXPECT_THAT(of(""), IsEmpty());
  EXPECT_THAT(of(", ,"), IsEmpty());
  EXPECT_THAT(of("/ws1"), ElementsAre("/ws1"));
  EXPECT_THAT(of(" /ws1, , /ws2 "), ElementsAre("/ws1", "/ws2"));
}

TEST(MinimumTLSVersion, OfBothPrefixes) {
  Options options;
  options.minimum_tls_version = TLSVersion::k1_1;
  EXPECT_EQ(MinimumTLSVersionOf(With({{"contour.heptio.com/tls-minimum-protocol-version", "1.1"}}),
                                options),
            TLSVersion::k1_1);
  EXPECT_EQ(MinimumTLSVersionOf(With({{"projectcontour.io/tls-minimum-protocol-version", "1.1"}}),
                                options),
            TLSVersion::k1_2);
  options.minimum_tls_version = TLSVersion::k1_3;
  EXPECT_EQ(MinimumTLSVersionOf(With({{"contour.heptio.com/tls-minimum-protocol-version", "1.2"}}),
                                options),
            TLSVersion::k1_3);
}

TEST(MaximumTLSVersion, OfTheNewPrefixOnly) {
  const std::string key = "projectcontour.io/tls-maximum-protocol-version";
  EXPECT_EQ(MaximumTLSVersionOf(With({{key, "1.2"}})), TLSVersion::k1_2);
  for (const char* value : {"1.3", "1.1", "", "x"}) {
    EXPECT_EQ(MaximumTLSVersionOf(With({{key, value}})), TLSVersion::k1_3) << value;
  }
  EXPECT_EQ(MaximumTLSVersionOf(With({{"contour.heptio.com/tls-maximum-protocol-version", "1.2"}})),
            TLSVersion::k1_3);
}

std::optional<Retry> IngressRetry(const api::Meta& meta) {
  const std::optional<RetrySpec> spec = RetrySpecOf(meta);
  return spec ? std::optional(*ParseRetry(*spec)) : std::nullopt;
}

TEST(IngressRetry, BothPrefixes) {
  EXPECT_EQ(IngressRetry(With({})), std::nullopt);
  EXPECT_EQ(IngressRetry(With({{"contour.heptio.com/num-retries", "7"}})), std::nullopt);
  EXPECT_EQ(IngressRetry(With({{"contour.heptio.com/retry-on", "gateway-error"},
                               {"contour.heptio.com/num-retries", "6"},
                               {"contour.heptio.com/per-try-timeout", "10s"}})),
            (Retry{"gateway-error", 6, 10s}));
  for (const char* count : {"0", "-1", "x"}) {
    EXPECT_EQ(IngressRetry(With({{"contour.heptio.com/retry-on", "5xx"},
                                 {"contour.heptio.com/num-retries", count}})),
              (Retry{"5xx", std::nullopt, std::nullopt}))
        << count;
  }
  EXPECT_EQ(IngressRetry(With(
                {{"projectcontour.io/retry-on", "5xx"}, {"projectcontour.io/num-retries", "-1"}})),
            std::nullopt);
  EXPECT_EQ(IngressRetry(With(
                {{"projectcontour.io/retry-on", "5xx"}, {"projectcontour.io/num-retries", "-7"}})),
            (Retry{"5xx", 1, std::nullopt}));
  EXPECT_EQ(IngressRetry(With({{"contour.heptio.com/retry-on", "5xx"},
                               {"contour.heptio.com/per-try-timeout", "0s"}})),
            (Retry{"5xx", std::nullopt, std::nullopt}));
}

}  // namespace
}  // namespace contour::graph::ingress
