// SPDX-License-Identifier: Apache-2.0

#include "report/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "graph/kinds/ingressroute/status.h"
#include "graph/model/status.h"
#include "report/xds_page.h"

namespace contour::report {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Json = nlohmann::json;
using xds::ResourceType;

TEST(ParseObject, Table) {
  const api::ObjectRef secret{api::Kind::kSecret, "default", "tls"};
  EXPECT_THAT(ParseObject("Secret/default/tls"), ElementsAre(secret));
  EXPECT_THAT(ParseObject("IngressClass/contour"),
              ElementsAre(api::ObjectRef{api::Kind::kIngressClass, "", "contour"}));
  EXPECT_THAT(ParseObject("default/tls"), ::testing::Contains(secret));
  EXPECT_THAT(ParseObject("default/tls"), SizeIs(api::kKindCount - 1)) << "those with a namespace";
  for (const char* bad : {"", "tls", "/", "default/", "/tls", "Sekret/default/tls", "a/b/c/d",
                          "IngressClass/default/contour"}) {
    EXPECT_THAT(ParseObject(bad), IsEmpty()) << bad;
  }
}

// One Envoy for each state of the cluster `web`.
xds::FleetFates Fates() {
  using Fate = xds::Fate;
  xds::FleetFates fates{.envoys = 6, .resources = {{}}, .workers = 1};
  const auto add = [&](const char* node, Fate fate, const char* words = "") {
    xds::ResourceFates& web = fates.resources[0];
    ++web.counts[static_cast<std::size_t>(fate)];
    if (fate != Fate::kAcknowledged && fate != Fate::kNotSubscribed)
      web.others.push_back({node, "peer", fate, words});
  };
  add("good", Fate::kAcknowledged);
  add("waiting", Fate::kSent);
  add("rejecting", Fate::kRejected, "no");
  add("holding", Fate::kHeld);
  add("warming", Fate::kWarming);
  add("without", Fate::kNotSubscribed);
  return fates;
}

core::HostView Host() {
  core::HostView view;
  view.graph.host = "a.example";
  view.graph.roots = {{api::Kind::kIngress, "default", "root"}};
  view.graph.missing = {{api::Kind::kService, "default", "late"}};
  view.graph.problems = {{{api::Kind::kIngress, "default", "root"}, "spec.rules: no"}};
  view.resources = {{ResourceType::kCluster, "web", "", "2"}};
  return view;
}

TEST(Explain, SaysWhatEachEnvoyMadeOfAResource) {
  const Json json = Json::parse(ExplainHost(Host(), Fates()));
  const Json& fates = json.at("host").at("resources")[0].at("envoys");
  EXPECT_EQ(fates.at("acknowledged"), 1);
  EXPECT_EQ(fates.at("sent"), 1);
  EXPECT_EQ(fates.at("rejected"), 1);
  EXPECT_EQ(fates.at("held until its clusters are warm"), 1);
  EXPECT_EQ(fates.at("warming"), 1);
  EXPECT_EQ(fates.at("not subscribed"), 1);
  const Json& others = fates.at("those that have not acknowledged it");
  ASSERT_THAT(others, SizeIs(4));
  EXPECT_EQ(
      others[1],
      (Json{{"node", "rejecting"}, {"peer", "peer"}, {"words", "no"}, {"state", "rejected"}}));
}

TEST(Explain, SaysWhyAnObjectIsNotServed) {
  core::ObjectView object;
  object.object.ref = {api::Kind::kIngressRoute, "default", "root"};
  object.object.exists = true;
  object.object.creation_time = 1;
  object.object.status = graph::ingressroute::MakeStatus("invalid", "why", "a.example");
  object.object.hosts = {"a.example", "b.example"};
  object.hosts = {Host()};
  const Json json = Json::parse(ExplainObjects({object}, Fates())).at("objects")[0];
  EXPECT_EQ(json.at("object"), "IngressRoute/default/root");
  EXPECT_EQ(json.at("created"), "1970-01-01T00:00:01Z");
  EXPECT_EQ(json.at("status").at("description"), "why");
  EXPECT_EQ(json.at("further hosts"), Json{"b.example"});
  const Json& host = json.at("hosts")[0];
  EXPECT_EQ(host.at("served"), "nothing");
  EXPECT_EQ(host.at("missing"), Json{"Service/default/late"});
  EXPECT_EQ(host.at("problems")[0].at("problem"), "spec.rules: no");
}

TEST(Explain, AsksForTheResourcesThatItShows) {
  core::ObjectView object;
  object.hosts = {Host(), Host()};
  EXPECT_THAT(ResourcesOf(std::vector{object, object}), SizeIs(4));
  EXPECT_EQ(ResourcesOf(Host())[0].name, "web");
}

TEST(XdsPage, ReadsItsParameters) {
  const auto parse = [](std::map<std::string, std::string> given) {
    return ParseXdsFilter([given](const std::string& name) -> std::optional<std::string> {
      const auto at = given.find(name);
      return at == given.end() ? std::nullopt : std::optional(at->second);
    });
  };
  EXPECT_FALSE(parse({})->all);
  EXPECT_EQ(parse({{"type", "SRDS"}})->type, ResourceType::kScopedRoutes);
  EXPECT_EQ(parse({{"after", "a b ipv4:10.0.0.1:1"}})->after_envoy,
            (std::pair<std::string, std::string>("a b", "ipv4:10.0.0.1:1")));
  EXPECT_EQ(parse({{"limit", "5"}, {"envoys", "6"}})->most_entries, 5U);
  for (const auto& [name, text] :
       std::vector<std::pair<std::string, std::string>>{{"type", "XDS"},
                                                        {"limit", "0"},
                                                        {"limit", "1x"},
                                                        {"limit", "1000000"},
                                                        {"envoys", "-1"},
                                                        {"envoys", "1001"}}) {
    EXPECT_FALSE(parse({{name, text}}).ok()) << name << " " << text;
  }
}

TEST(XdsPage, ShowsWhatItIsGivenAndHowToSeeMore) {
  xds::LedgerEntry entry{.type = ResourceType::kCluster, .name = "web"};
  entry.rejected = "2";
  entry.error_message = "no";
  xds::SessionViews views{.envoys = {{.node_id = "one", .peer = "peer", .entries = {entry}}},
                          .more_envoys = true,
                          .busy_workers = 1,
                          .workers = 2};
  for (const xds::TypeInfo& info : xds::kTypes)
    views.envoys[0].types[xds::Index(info.type)].type = info.type;
  views.envoys[0].more = true;
  xds::TypeView& clusters = views.envoys[0].types[xds::Index(ResourceType::kCluster)];
  clusters.sent = 3;
  clusters.acknowledged = 2;
  clusters.rejected_resources = 1;
  const Json page = Json::parse(XdsJson(views, {}, {}));
  EXPECT_EQ(page.at("moreEnvoys"), "?after=one peer");
  EXPECT_EQ(page.at("busyWorkers"), 1);
  const Json& one = page.at("envoys")[0];
  EXPECT_EQ(one.at("more"), true);
  EXPECT_EQ(one.at("types").at("CDS"),
            (Json{{"resources", 3}, {"acknowledged", 2}, {"rejected", 1}, {"held", 0}}));
  EXPECT_EQ(one.at("resources")[0].at("words"), "no");
  const Json filtered = Json::parse(XdsJson(views, {}, {.type = ResourceType::kRoutes}));
  EXPECT_THAT(filtered.at("envoys")[0].at("types"), SizeIs(1));
}

TEST(XdsPage, ShowsTheStateOfATypeAndWhatIsQuarantined) {
  std::vector<xds::SessionView> envoys = {{.node_id = "one"}};
  xds::TypeView& routes = envoys[0].types[xds::Index(ResourceType::kRoutes)];
  routes.type = ResourceType::kRoutes;
  routes.unacknowledged = 1;
  routes.lag = std::chrono::milliseconds(1500);
  routes.rejected.push_back(
      {{ResourceType::kRoutes, "ingress_http", "a.example"}, "2", "no", true});
  routes.held.push_back({"ingress_http", "b.example", {"web"}, std::chrono::milliseconds(20)});
  const Json state =
      Json::parse(XdsJson({.envoys = envoys}, {}, {})).at("envoys")[0].at("types").at("RDS");
  EXPECT_EQ(state.at("lagMs"), 1500);
  EXPECT_EQ(state.at("refused")[0], (Json{{"resource", "ingress_http"},
                                          {"part", "a.example"},
                                          {"version", "2"},
                                          {"words", "no"},
                                          {"culprit", true}}));
  EXPECT_EQ(state.at("waiting")[0].at("waitingFor")[0], "web");

  const std::vector<xds::QuarantineView> quarantined = {
      {{ResourceType::kRoutes, "ingress_http", "a.example"},
       "2",
       "no",
       "one",
       "10.0.0.1",
       xds::Reach::kFleet,
       2,
       true}};
  const auto kept = [&](const xds::ViewFilter& filter) {
    return Json::parse(XdsJson({}, quarantined, filter)).at("quarantined");
  };
  EXPECT_EQ(kept({})[0], (Json{{"type", "RDS"},
                               {"resource", "ingress_http"},
                               {"part", "a.example"},
                               {"version", "2"},
                               {"words", "no"},
                               {"node", "one"},
                               {"peer", "10.0.0.1"},
                               {"nodes", 2},
                               {"keptFromAll", true},
                               {"replacedByLastGood", true},
                               {"sinceMs", 0}}));
  EXPECT_THAT(kept({.type = ResourceType::kSecret}), IsEmpty());
  EXPECT_THAT(kept({.resource = "other"}), IsEmpty());
}

}  // namespace
}  // namespace contour::report
