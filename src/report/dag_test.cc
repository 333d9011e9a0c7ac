// SPDX-License-Identifier: Apache-2.0

#include "report/dag.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "graph/model/certificate.h"
#include "graph/model/cluster.h"
#include "graph/model/match.h"
#include "graph/model/route.h"

namespace contour::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

graph::WeightedCluster Cluster(const std::string& service, std::uint32_t weight = 0) {
  auto cluster = std::make_shared<graph::Cluster>();
  cluster->ns = "default";
  cluster->service = service;
  cluster->port = 80;
  return {cluster, weight};
}

graph::Route Route(graph::PathMatch match, std::vector<graph::WeightedCluster> clusters) {
  return {{std::move(match)}, false, graph::RouteAction{.clusters = std::move(clusters)}};
}

graph::ServingSecretPtr Secret() {
  auto secret = std::make_shared<graph::ServingSecret>();
  secret->ns = "default";
  secret->name = "tls";
  secret->certificate_chain = "CERTIFICATE";
  secret->private_key = "PRIVATE KEY";
  return secret;
}

std::vector<graph::VirtualHostPtr> Hosts() {
  using Type = graph::PathMatch::Type;
  graph::VirtualHost plain{.host = "a.example"};
  plain.At(graph::kHTTPListener)
      .routes.push_back(Route({Type::kPrefix, "/"}, {Cluster("web", 90), Cluster("new", 10)}));
  graph::VirtualHost secure{.host = "b.example"};
  secure.At(graph::kHTTPListener)
      .routes.push_back(Route({Type::kPrefix, "/"}, {Cluster("web", 90)}));
  secure.At(graph::kHTTPListener).routes.back().https_redirect = true;
  secure.At(graph::kHTTPSListener).secret = Secret();
  secure.At(graph::kHTTPSListener)
      .routes.push_back(Route({Type::kRegex, "/a|{b}"}, {Cluster("web", 90)}));
  secure.At(graph::kHTTPSListener)
      .routes.push_back({{{Type::kExact, "/x"}}, false, graph::DirectResponse{503}});
  graph::VirtualHost tcp{.host = "c.example"};
  tcp.At(graph::kHTTPSListener).tcp_proxy = graph::TCPProxy{{Cluster("db")}};
  return {std::make_shared<const graph::VirtualHost>(plain),
          std::make_shared<const graph::VirtualHost>(secure),
          std::make_shared<const graph::VirtualHost>(tcp)};
}

TEST(DagGraphviz, HasTheLabelsOfContour015) {
  EXPECT_EQ(DagGraphviz({Hosts()[0]}),
            R"(digraph DAG {
rankdir="LR"
"listener :80" [shape=record, label="{listener|:80}"]
"http://a.example" [shape=record, label="{http://a.example}"]
"http://a.example prefix /" [shape=record, label="{prefix|/}"]
"cluster default/web/80/da39a3ee5e 90" [shape=record, label="{cluster|{default/web/80/da39a3ee5e|weight\ 90}}"]
"httpservice default/web:80" [shape=record, label="{httpservice|default/web:80}"]
"cluster default/web/80/da39a3ee5e 90" -> "httpservice default/web:80"
"http://a.example prefix /" -> "cluster default/web/80/da39a3ee5e 90"
"cluster default/new/80/da39a3ee5e 10" [shape=record, label="{cluster|{default/new/80/da39a3ee5e|weight\ 10}}"]
"httpservice default/new:80" [shape=record, label="{httpservice|default/new:80}"]
"cluster default/new/80/da39a3ee5e 10" -> "httpservice default/new:80"
"http://a.example prefix /" -> "cluster default/new/80/da39a3ee5e 10"
"http://a.example" -> "http://a.example prefix /"
"listener :80" -> "http://a.example"
}
)");
}

TEST(DagGraphviz, ShowsCertificatesProxiesAndOwnAnswers) {
  const std::string text = DagGraphviz(Hosts());
  EXPECT_THAT(text, HasSubstr("[shape=record, label=\"{listener|:443}\"]"));
  EXPECT_THAT(text, HasSubstr("[shape=record, label=\"{https://b.example}\"]"));
  EXPECT_THAT(text, HasSubstr("label=\"{regex|/a\\|\\{b\\}}\"]"));
  EXPECT_THAT(text, HasSubstr("label=\"{exact|/x}\"]"));
  EXPECT_THAT(text, HasSubstr("label=\"{response|503}\"]"));
  EXPECT_THAT(text, HasSubstr("label=\"{redirect|https}\"]"));
  EXPECT_THAT(text, HasSubstr("\"https://b.example\" -> \"secret default/tls\"\n"));
  EXPECT_THAT(text, HasSubstr("label=\"{secret|default/tls}\"]"));
  EXPECT_THAT(text, HasSubstr("label=\"{tcpproxy}\"]"));
  EXPECT_THAT(text, HasSubstr("label=\"{tcpservice|default/db:80}\"]"));
  EXPECT_THAT(text, Not(HasSubstr("PRIVATE")));
  EXPECT_THAT(text, Not(HasSubstr("CERTIFICATE")));
  // A node to which two routes lead is there once.
  const std::string web = "\"httpservice default/web:80\" [";
  EXPECT_EQ(text.find(web), text.rfind(web));
}

TEST(DagGraphviz, IsAGraphWithoutAnything) {
  EXPECT_EQ(DagGraphviz({}), "digraph DAG {\nrankdir=\"LR\"\n}\n");
}

TEST(DagJson, SaysTheSame) {
  const nlohmann::json json = nlohmann::json::parse(DagJson(Hosts()));
  const auto& hosts = json.at("virtualHosts");
  ASSERT_EQ(hosts.size(), 3U);
  EXPECT_EQ(hosts[0].at("http").at("routes")[0].at("clusters")[1].at("service"), "default/new");
  EXPECT_EQ(hosts[0].at("http").at("routes")[0].at("clusters")[1].at("weight"), 10);
  EXPECT_EQ(hosts[1].at("http").at("routes")[0].at("redirect"), "https");
  EXPECT_EQ(hosts[1].at("https").at("secret"), "default/tls");
  EXPECT_EQ(hosts[1].at("https").at("routes")[1].at("response"), 503);
  EXPECT_EQ(hosts[2].at("https").at("tcpProxy")[0].at("service"), "default/db");
  EXPECT_THAT(json.dump(), Not(HasSubstr("PRIVATE")));
}

}  // namespace
}  // namespace contour::report
