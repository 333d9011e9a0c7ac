// SPDX-License-Identifier: Apache-2.0
#include "envoy/names.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "graph/policy/load_balancing.h"

namespace contour::envoy {
namespace {

graph::Cluster Kuard() {
  graph::Cluster cluster;
  cluster.ns = "default";
  cluster.service = "kuard";
  cluster.port = 8080;
  return cluster;
}

graph::Cluster WithStrategy(const std::string& strategy) {
  graph::Cluster cluster = Kuard();
  cluster.load_balancing = graph::ParseLoadBalancing({strategy});
  return cluster;
}

graph::Cluster WithCheck(std::string path, std::int64_t timeout = 0, std::int64_t interval = 0,
                         std::int64_t unhealthy = 0, std::int64_t healthy = 0,
                         const std::string& strategy = "") {
  graph::Cluster cluster = WithStrategy(strategy);
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
  cluster.load_balancing = graph::ParseLoadBalancing({"Random"});
  EXPECT_NE(ClusterName(cluster), ClusterName(WithStrategy("Random")));
}

TEST(ClusterNameTest, WritesDurationsAsGoDoes) {
  // printf '1h0m0s1m30s/' | sha1sum
  EXPECT_EQ(ClusterName(WithCheck("/", 3600, 90)), "default/kuard/8080/a7fd656506");
  // Negative numbers count as absent; the greatest one has a name too.
  EXPECT_EQ(ClusterName(WithCheck("/healthz", -1, -1, -1, -1)), "default/kuard/8080/bc862a33ca");
  EXPECT_EQ(ClusterName(WithCheck("/", std::numeric_limits<std::int64_t>::max())).size(),
            std::string("default/kuard/8080/").size() + 10);
}

TEST(HashNameTest, Vectors) {
  EXPECT_EQ(HashName(12, {"gammagammagamma"}), "0d350ea5c204");
  EXPECT_EQ(HashName(19, {"gammagamma", "betabeta"}), "ga-edf159/betabeta");
  // These are names of secrets of Contour 0.15, with the hash of the certificate.
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
  EXPECT_EQ(ServiceName({"default", "kuard", ""}), "default/kuard");
  EXPECT_EQ(ServiceName({"default", "kuard", "https"}), "default/kuard/https");
  EXPECT_EQ(ServiceName({"default", std::string(300, 'a'), ""}),
            "default/" + std::string(300, 'a'));
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

// The clusters of each pair have the same plain name. Their full names, and so their names when the
// plain one is contested, differ.
struct Meeting {
  const char* name;
  graph::Cluster one;
  graph::Cluster two;
};

graph::Cluster WithValidation(graph::Cluster cluster, std::string ca, std::string subject) {
  cluster.validation = graph::UpstreamValidation{std::move(ca), "PEM", std::move(subject)};
  return cluster;
}

graph::Cluster Of(std::string ns, std::string service) {
  graph::Cluster cluster;
  cluster.ns = std::move(ns);
  cluster.service = std::move(service);
  cluster.port = 80;
  return cluster;
}

std::vector<Meeting> Meetings() {
  std::vector<Meeting> meetings = {
      {"path_and_plain_tcp", WithCheck("/tcp"),
       [] {
         graph::Cluster cluster = WithCheck("/");
         cluster.plain_tcp = true;
         return cluster;
       }()},
      {"path_and_validation", WithCheck("/caxsub.test"),
       WithValidation(WithCheck("/"), "cax", "sub.test")},
      {"ca_and_subject", WithValidation(Kuard(), "ca", "xsub.test"),
       WithValidation(Kuard(), "cax", "sub.test")},
      {"thresholds", WithCheck("/", 0, 0, 1, 23), WithCheck("/", 0, 0, 12, 3)},
      {"threshold_and_path", WithCheck("3/", 0, 0, 1), WithCheck("/", 0, 0, 13)},
      {"one_threshold", WithCheck("/", 0, 0, 5, 0), WithCheck("/", 0, 0, 0, 5)},
      {"timeout_and_interval", WithCheck("/", 5, 0), WithCheck("/", 0, 5)},
      {"strategy_and_path", WithStrategy("Random/x"), WithCheck("/x", 0, 0, 0, 0, "Random")},
      {"strategy_and_plain_tcp", WithStrategy("tcp"),
       [] {
         graph::Cluster cluster = Kuard();
         cluster.plain_tcp = true;
         return cluster;
       }()},
      {"check_host", WithCheck("/"),
       [] {
         graph::Cluster cluster = WithCheck("/");
         cluster.health_check->host = "other.example";
         return cluster;
       }()},
      {"separator", Of("a", "b/c"), Of("a/b", "c")},
      {"escape", Of("a", "b\x01"), Of("a", "b\\x01")},
      // These were found by trying 20 million names.
      {"searched", Of("payments-team-production-eu-west", "checkout-frontend"),
       Of("payments-team-of-somebody-else-x", "checkout-0186659c")},
      {"like_a_shortened_one",
       Of("it-is-a-truth-universally-acknowledged-that-a-single-man-in-pos",
          "must-be-in-want-of-a-wife"),
       Of("it-is-a--1b9a5e", "must-be--1b9a5e")},
  };
  return meetings;
}

TEST(FullNameTest, ContentsThatHaveOnePlainNameHaveTwoFullOnes) {
  for (const Meeting& meeting : Meetings()) {
    SCOPED_TRACE(meeting.name);
    EXPECT_EQ(ClusterName(meeting.one), ClusterName(meeting.two));
    Names names;
    EXPECT_EQ(names.Cluster(meeting.one), ClusterName(meeting.one));
    names.contested_clusters.insert(ClusterName(meeting.one));
    EXPECT_NE(names.Cluster(meeting.one), names.Cluster(meeting.two));
    EXPECT_EQ(names.Cluster(meeting.one), FullClusterName(meeting.one));
    // No full name is the plain name of another.
    EXPECT_NE(FullClusterName(meeting.one), ClusterName(meeting.two));
  }
}

TEST(FullNameTest, EveryFieldOfAClusterCounts) {
  graph::Cluster base = WithValidation(WithCheck("/"), "ca", "subject");
  const std::vector<std::function<void(graph::Cluster&)>> edits = {
      [](auto& cluster) { cluster.ns = "other"; },
      [](auto& cluster) { cluster.service = "other"; },
      [](auto& cluster) { cluster.port = 81; },
      [](auto& cluster) { cluster.port_name = "http"; },
      [](auto& cluster) { cluster.external_name = "other.example"; },
      [](auto& cluster) { cluster.protocol = graph::Protocol::kTLS; },
      [](auto& cluster) { cluster.plain_tcp = true; },
      [](auto& cluster) { cluster.load_balancing = graph::ParseLoadBalancing({"Random"}); },
      [](auto& cluster) { cluster.health_check.reset(); },
      [](auto& cluster) { cluster.health_check->path = "/other"; },
      [](auto& cluster) { cluster.health_check->host = "other.example"; },
      [](auto& cluster) { cluster.health_check->interval = std::chrono::seconds(7); },
      [](auto& cluster) { cluster.health_check->timeout = std::chrono::seconds(7); },
      [](auto& cluster) { cluster.health_check->unhealthy_threshold = 7; },
      [](auto& cluster) { cluster.health_check->healthy_threshold = 7; },
      [](auto& cluster) { cluster.health_check->written_interval_seconds = 7; },
      [](auto& cluster) { cluster.health_check->written_timeout_seconds = 7; },
      [](auto& cluster) { cluster.health_check->written_unhealthy_threshold = 7; },
      [](auto& cluster) { cluster.health_check->written_healthy_threshold = 7; },
      [](auto& cluster) { cluster.validation.reset(); },
      [](auto& cluster) { cluster.validation->ca_secret = "other"; },
      [](auto& cluster) { cluster.validation->ca_certificate = "other"; },
      [](auto& cluster) { cluster.validation->subject_name = "other"; },
      [](auto& cluster) { cluster.circuit_breakers.max_connections = 7; },
      [](auto& cluster) { cluster.circuit_breakers.max_pending_requests = 7; },
      [](auto& cluster) { cluster.circuit_breakers.max_requests = 7; },
      [](auto& cluster) { cluster.circuit_breakers.max_retries = 7; },
      [](auto& cluster) { cluster.circuit_breakers.per_host_max_connections = 7; },
      [](auto& cluster) { cluster.circuit_breakers.max_connections = 0; },
  };
  std::set<std::string> names = {FullClusterName(base)};
  for (const auto& edit : edits) {
    graph::Cluster edited = base;
    edit(edited);
    EXPECT_TRUE(names.insert(FullClusterName(edited)).second) << FullClusterName(edited);
    EXPECT_NE(edited, base);
  }
  EXPECT_EQ(FullClusterName(base).find("default/kuard/8080/sha256-"), 0U);
  EXPECT_EQ(FullClusterName(base).size(), std::string("default/kuard/8080/sha256-").size() + 64);
}

// Names of all kinds for parts that could be confused: each name belongs to one key.
TEST(NamesTest, JoinedPartsAreNeverConfused) {
  const std::vector<std::string> parts = {"",     "a",    "b",       "a/b",  "b/a",         "/",
                                          "a_b",  "b_a",  "_",       "a:b",  ":",           "\\x01",
                                          "\x01", "a/80", "sha256-", "a_80", "caf\xc3\xa9", "\xc3"};
  std::map<std::string, graph::AssignmentKey> assignments;
  std::map<std::string, std::pair<std::string, std::string>> statistics;
  std::map<std::string, std::pair<std::string, std::string>> secrets;
  for (const std::string& one : parts) {
    for (const std::string& two : parts) {
      for (const std::string& three : parts) {
        const graph::AssignmentKey key{one, two, three};
        const std::string name = ServiceName(key);
        EXPECT_EQ(assignments.try_emplace(name, key).first->second, key) << name;
        const std::string prefix = ServiceNamePrefix(one, two);
        EXPECT_TRUE(name == prefix || name.starts_with(prefix + "/")) << name;
      }
      const std::pair pair(one, two);
      const std::string statistic = AltStatName(Of(one, two));
      EXPECT_EQ(statistics.try_emplace(statistic, pair).first->second, pair) << statistic;
      for (const std::string& name :
           {SecretName({.ns = one, .name = two}), FullSecretName({.ns = one, .name = two})}) {
        EXPECT_EQ(secrets.try_emplace(name, pair).first->second, pair) << name;
        EXPECT_NE(name.find('/'), std::string::npos) << "or a host could be called so";
      }
    }
  }
}

TEST(AltStatNameTest, SaysWhichPortItIsOf) {
  EXPECT_EQ(AltStatName(Of("a", "b")), "a_b_80");
  EXPECT_EQ(AltStatName(Of("a_b", "c")).find("a_b_c_80_sha256-"), 0U);
  EXPECT_NE(AltStatName(Of("a_b", "c")), AltStatName(Of("a", "b_c")));
  EXPECT_NE(AltStatName(Of("a:b", "c")), AltStatName(Of("a", "b:c")));
}

TEST(ServiceNameTest, SaysWhoseEndpointsTheyAre) {
  EXPECT_EQ(ServiceName({"a", "b/c", ""}).find("a/b/c/sha256-"), 0U);
  EXPECT_NE(ServiceName({"a", "b/c", ""}), ServiceName({"a/b", "c", ""}));
  EXPECT_NE(ServiceName({"a", "b", "c"}), ServiceName({"a", "b/c", ""}));
}

TEST(SecretNameTest, AlwaysHasASlashWhichNoHostHas) {
  const graph::ServingSecret secret{.ns = std::string(40, 'n'), .name = std::string(40, 's')};
  ASSERT_EQ(HashName(60, {secret.ns, secret.name}).find('/'), std::string::npos);
  EXPECT_EQ(SecretName(secret), FullSecretName(secret));
  Names names;
  EXPECT_EQ(names.Secret({.ns = "default", .name = "kuard"}), "default/kuard");
  names.contested_secrets.insert("default/kuard");
  EXPECT_EQ(names.Secret({.ns = "default", .name = "kuard"}).find("default/kuard/sha256-"), 0U);
  // A renewed certificate keeps the name.
  EXPECT_EQ(FullSecretName({.ns = "default", .name = "kuard"}),
            FullSecretName({.ns = "default", .name = "kuard", .certificate_chain = "renewed"}));
}

TEST(VirtualHostNameTest, AHostThatIsCalledLikeAHashIsHashedToo) {
  const std::string name = VirtualHostName(std::string(70, 'a'));
  ASSERT_EQ(name.size(), 60U);
  EXPECT_NE(VirtualHostName(name), name);
  EXPECT_TRUE(HashesHost(name));
  EXPECT_FALSE(HashesHost(name.substr(1)));
}

TEST(NamesTest, AreValidText) {
  graph::Cluster cluster = Kuard();
  cluster.service = "ku\xff\x01";
  EXPECT_EQ(ClusterName(cluster), "default/ku\\xff\\x01/8080/da39a3ee5e");
  EXPECT_EQ(VirtualHostName("caf\xc3\xa9.example.com"), "caf\xc3\xa9.example.com");
}

}  // namespace
}  // namespace contour::envoy
