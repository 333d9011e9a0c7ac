// SPDX-License-Identifier: Apache-2.0
#include "envoy/names.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <utility>

namespace contour::envoy {
namespace {

graph::Cluster Kuard() {
  graph::Cluster cluster;
  cluster.ns = "default";
  cluster.service = "kuard";
  cluster.port = 8080;
  return cluster;
}

graph::Cluster WithStrategy(std::string strategy) {
  graph::Cluster cluster = Kuard();
  cluster.strategy = std::move(strategy);
  return cluster;
}

graph::Cluster WithCheck(std::string path, std::int64_t timeout = 0, std::int64_t interval = 0,
                         std::int64_t unhealthy = 0, std::int64_t healthy = 0,
                         std::string strategy = "") {
  graph::Cluster cluster = WithStrategy(std::move(strategy));
  graph::HealthCheck& check = cluster.health_check.emplace();
  check.path = std::move(path);
  check.host = "contour-envoy-healthcheck";
  check.written_timeout_seconds = timeout;
  check.written_interval_seconds = interval;
  check.written_unhealthy_threshold = unhealthy;
  check.written_healthy_threshold = healthy;
  return cluster;
}

struct ClusterCase {
  const char* name;
  graph::Cluster cluster;
  const char* want;
};

class ClusterNameTest : public testing::TestWithParam<ClusterCase> {};

TEST_P(ClusterNameTest, Table) { EXPECT_EQ(ClusterName(GetParam().cluster), GetParam().want); }

INSTANTIATE_TEST_SUITE_P(
    Vectors, ClusterNameTest,
    testing::Values(
        ClusterCase{"plain", Kuard(), "default/kuard/8080/da39a3ee5e"},
        ClusterCase{"round_robin", WithStrategy("RoundRobin"), "default/kuard/8080/f3b72af6a9"},
        ClusterCase{"least_request", WithStrategy("WeightedLeastRequest"),
                    "default/kuard/8080/8bf87fefba"},
        ClusterCase{"random", WithStrategy("Random"), "default/kuard/8080/58d888c08a"},
        ClusterCase{"cookie", WithStrategy("Cookie"), "default/kuard/8080/e4f81994fe"},
        ClusterCase{"unknown_strategy", WithStrategy("lulz"), "default/kuard/8080/86d7a9c129"},
        ClusterCase{"check", WithCheck("/healthz"), "default/kuard/8080/bc862a33ca"},
        ClusterCase{"other_check", WithCheck("/healthy"), "default/kuard/8080/c184349821"},
        ClusterCase{"check_numbers", WithCheck("/healthy", 99, 98, 97, 96),
                    "default/kuard/8080/7f8051653a"},
        ClusterCase{"random_check", WithCheck("/healthz", 30, 5, 3, 1, "Random"),
                    "default/kuard/8080/5c26077e1d"},
        ClusterCase{"validation",
                    [] {
                      graph::Cluster cluster = Kuard();
                      cluster.validation = graph::UpstreamValidation{"foo", "PEM", "subjname"};
                      return cluster;
                    }(),
                    "default/kuard/8080/98c0f31c72"},
        ClusterCase{"long_service",
                    [] {
                      graph::Cluster cluster = Kuard();
                      cluster.service =
                          "kbujbkuhdod66gjdmwmijz8xzgsx1nkfbrloezdjiulquzk4x3p0nnvpzi8r";
                      return cluster;
                    }(),
                    "default/kbujbkuh-c83ceb/8080/da39a3ee5e"},
        ClusterCase{"long_namespace",
                    [] {
                      graph::Cluster cluster;
                      cluster.ns =
                          "it-is-a-truth-universally-acknowledged-that-a-single-man-in-possession-"
                          "of-a-good-fortune";
                      cluster.service = "must-be-in-want-of-a-wife";
                      cluster.port = 9999;
                      return cluster;
                    }(),
                    "it-is-a--dea8b0/must-be--dea8b0/9999/da39a3ee5e"}),
    [](const auto& c) { return std::string(c.param.name); });

TEST(ClusterNameTest, IgnoresHealthCheckHostProtocolAndLimits) {
  graph::Cluster cluster = WithCheck("/healthz");
  cluster.health_check->host = "other.example.com";
  cluster.protocol = graph::Protocol::kH2;
  cluster.circuit_breakers.max_connections = 7;
  EXPECT_EQ(ClusterName(cluster), ClusterName(WithCheck("/healthz")));
}

TEST(ClusterNameTest, PlainTCPOnAPortOfAnotherProtocolHasItsOwn) {
  graph::Cluster cluster = Kuard();
  cluster.plain_tcp = true;
  EXPECT_EQ(ClusterName(cluster), "default/kuard/8080/6ce375e315");  // printf tcp | sha1sum
  cluster.strategy = "Random";
  EXPECT_NE(ClusterName(cluster), ClusterName(WithStrategy("Random")));
}

TEST(ClusterNameTest, WritesDurationsAsGoDoes) {
  // printf '1h0m0s1m30s/' | sha1sum
  EXPECT_EQ(ClusterName(WithCheck("/", 3600, 90)), "default/kuard/8080/a7fd656506");
  // Negative numbers count as not written; the greatest one has a name too.
  EXPECT_EQ(ClusterName(WithCheck("/healthz", -1, -1, -1, -1)), "default/kuard/8080/bc862a33ca");
  EXPECT_EQ(ClusterName(WithCheck("/", std::numeric_limits<std::int64_t>::max())).size(),
            std::string("default/kuard/8080/").size() + 10);
}

TEST(HashNameTest, Vectors) {
  EXPECT_EQ(HashName(12, {"gammagammagamma"}), "0d350ea5c204");
  EXPECT_EQ(HashName(19, {"gammagamma", "betabeta"}), "ga-edf159/betabeta");
  // Of Contour 0.15's names of secrets, with the hash of the certificate.
  EXPECT_EQ(
      HashName(60, {"it-is-a-truth-universally-acknowledged-that-a-single-man-in-possession-of-a-"
                    "good-fortune",
                    "must-be-in-want-of-a-wife", "cd1b506996"}),
      "it-is-a-truth-7e164b/must-be-in-wa-7e164b/cd1b506996");
  EXPECT_EQ(HashName(60, {"default", "kuard"}), "default/kuard");
  EXPECT_EQ(HashName(60, {}), "");
  EXPECT_EQ(HashName(0, {}), "");
  EXPECT_EQ(HashName(100, {std::string(100, 'a')}).size(), 64U);
  EXPECT_EQ(HashName(60, {std::string(59, 'a')}), std::string(59, 'a'));
}

TEST(TruncateTest, Vectors) {
  EXPECT_EQ(Truncate(10, "quijibo", "a8c5"), "quijibo");
  EXPECT_EQ(Truncate(7, "quijibo", "a8c5"), "quijibo");
  EXPECT_EQ(Truncate(6, "quijibo", "a8c5"), "q-a8c5");
  EXPECT_EQ(Truncate(4, "quijibo", "a8c5"), "a8c5");
  EXPECT_EQ(Truncate(3, "quijibo", "a8c5"), "a8c");
}

TEST(ServiceNameTest, NamesThePortOnlyIfItHasAName) {
  EXPECT_EQ(ServiceName("default", "kuard", ""), "default/kuard");
  EXPECT_EQ(ServiceName("default", "kuard", "https"), "default/kuard/https");
  EXPECT_EQ(ServiceName("default", std::string(300, 'a'), ""), "default/" + std::string(300, 'a'));
}

TEST(ServiceNameTest, ExternalOnesKeepTheLastSlash) {
  graph::Cluster cluster = Kuard();
  EXPECT_EQ(ExternalServiceName(cluster), "default/kuard/");
  cluster.port_name = "http";
  EXPECT_EQ(ExternalServiceName(cluster), "default/kuard/http");
}

TEST(AltStatNameTest, IsNeverShortened) {
  EXPECT_EQ(AltStatName(Kuard()), "default_kuard_8080");
  graph::Cluster cluster = Kuard();
  cluster.service = std::string(200, 'a');
  EXPECT_EQ(AltStatName(cluster), "default_" + cluster.service + "_8080");
}

TEST(SecretNameTest, FollowsFromTheNameAlone) {
  graph::ServingSecret secret{"default", "secret", "old", "key"};
  EXPECT_EQ(SecretName(secret), "default/secret");
  secret.certificate_chain = "renewed";
  EXPECT_EQ(SecretName(secret), "default/secret");
  secret.name = std::string(80, 's');
  EXPECT_EQ(SecretName(secret).size(), 38U);  // "default/" + 30
}

TEST(VirtualHostNameTest, HashesLongHosts) {
  EXPECT_EQ(VirtualHostName("*"), "*");
  EXPECT_EQ(VirtualHostName("www.example.com"), "www.example.com");
  EXPECT_EQ(VirtualHostName("my-very-very-long-service-host-name.subdomain.boring-dept.my.company"),
            "d31bb322ca62bb395acad00b3cbf45a3aa1010ca28dca7cddb4f7db786fa");
  EXPECT_EQ(VirtualHostName(std::string(59, 'a')), std::string(59, 'a'));
  EXPECT_NE(VirtualHostName(std::string(60, 'a')), std::string(60, 'a'));
}

TEST(NamesTest, AreValidText) {
  graph::Cluster cluster = Kuard();
  cluster.service = "ku\xff\x01";
  EXPECT_EQ(ClusterName(cluster), "default/ku\\xff\\x01/8080/da39a3ee5e");
  EXPECT_EQ(VirtualHostName("caf\xc3\xa9.example.com"), "caf\xc3\xa9.example.com");
}

}  // namespace
}  // namespace contour::envoy
