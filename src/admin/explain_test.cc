// SPDX-License-Identifier: Apache-2.0

#include "admin/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "admin/xds_page.h"

namespace contour::admin {
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

xds::LedgerEntry Entry(const std::string& sent, const std::string& acknowledged) {
  xds::LedgerEntry entry{.type = ResourceType::kCluster, .name = "web"};
  if (!sent.empty()) entry.sent = sent;
  if (!acknowledged.empty()) entry.acknowledged = acknowledged;
  return entry;
}

// One Envoy per fate of the cluster `web`.
std::vector<xds::SessionView> Envoys() {
  std::vector<xds::SessionView> envoys;
  const auto add = [&](const char* node, std::vector<xds::LedgerEntry> entries) {
    envoys.push_back({.node_id = node, .peer = "peer", .entries = std::move(entries)});
  };
  add("good", {Entry("2", "2")});
  add("waiting", {Entry("2", "1")});
  xds::LedgerEntry rejected = Entry("2", "1");
  rejected.rejected = "2";
  rejected.words = "no";
  add("rejecting", {rejected});
  xds::LedgerEntry held = Entry("1", "1");
  held.held_parts = {""};
  add("holding", {held});
  xds::LedgerEntry cold = Entry("2", "2");
  cold.cold = true;
  add("warming", {cold});
  add("without", {});
  return envoys;
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
  const Json json = Json::parse(ExplainHost(Host(), Envoys()));
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
  object.object.ref = {api::Kind::kIngress, "default", "root"};
  object.object.exists = true;
  object.object.creation_time = 1;
  object.object.status = graph::Status{"invalid", "why", "a.example", false};
  object.object.hosts = {"a.example", "b.example"};
  object.hosts = {Host()};
  const Json json = Json::parse(ExplainObjects({object}, {})).at("objects")[0];
  EXPECT_EQ(json.at("object"), "Ingress/default/root");
  EXPECT_EQ(json.at("created"), "1970-01-01T00:00:01Z");
  EXPECT_EQ(json.at("status").at("description"), "why");
  EXPECT_EQ(json.at("further hosts"), Json{"b.example"});
  const Json& host = json.at("hosts")[0];
  EXPECT_EQ(host.at("served"), "nothing");
  EXPECT_EQ(host.at("missing"), Json{"Service/default/late"});
  EXPECT_EQ(host.at("problems")[0].at("problem"), "spec.rules: no");
}

TEST(XdsPage, ShowsWhatStandsOutOrWhatIsAskedFor) {
  const auto page = [](const XdsFilter& filter) {
    return Json::parse(XdsJson(Envoys(), {}, filter)).at("envoys");
  };
  const Json all = page({});
  ASSERT_THAT(all, SizeIs(6));
  EXPECT_THAT(all[0].at("resources"), IsEmpty());
  EXPECT_EQ(all[0].at("types").at("CDS"),
            (Json{{"resources", 1}, {"acknowledged", 1}, {"rejected", 0}, {"held", 0}}));
  EXPECT_EQ(all[2].at("resources")[0].at("words"), "no");
  EXPECT_THAT(page({.node = "good"}), SizeIs(1));
  EXPECT_THAT(page({.node = "good", .all = true})[0].at("resources"), SizeIs(1));
  EXPECT_THAT(page({.node = "good", .resource = "web"})[0].at("resources"), SizeIs(1));
  EXPECT_THAT(page({.node = "waiting", .resource = "other"})[0].at("resources"), IsEmpty());
  std::vector<xds::SessionView> envoys = {{.node_id = "one"}};
  xds::TypeView& routes = envoys[0].types[xds::Index(ResourceType::kRoutes)];
  routes.unacknowledged = 1;
  routes.lag = std::chrono::milliseconds(1500);
  routes.refused.push_back({{ResourceType::kRoutes, "ingress_http", "a.example"}, "2", "no", true});
  routes.held.push_back({"ingress_http", "b.example", {"web"}, std::chrono::milliseconds(20)});
  const Json state = Json::parse(XdsJson(envoys, {}, {})).at("envoys")[0].at("types").at("RDS");
  EXPECT_EQ(state.at("lagMs"), 1500);
  EXPECT_EQ(state.at("refused")[0], (Json{{"resource", "ingress_http"},
                                          {"part", "a.example"},
                                          {"version", "2"},
                                          {"words", "no"},
                                          {"culprit", true}}));
  EXPECT_EQ(state.at("waiting")[0].at("waitingFor")[0], "web");

  EXPECT_THAT(page({.node = "waiting", .type = "RDS"})[0].at("resources"), IsEmpty());
  const std::vector<xds::QuarantineView> quarantined = {
      {{ResourceType::kRoutes, "ingress_http", "a.example"},
       "2",
       "no",
       "one",
       "10.0.0.1",
       xds::Reach::kFleet,
       2,
       true}};
  const auto kept = [&](const XdsFilter& filter) {
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
  EXPECT_THAT(kept({.type = "SDS"}), IsEmpty());
  EXPECT_THAT(kept({.resource = "other"}), IsEmpty());
}

}  // namespace
}  // namespace contour::admin
