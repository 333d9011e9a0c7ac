// SPDX-License-Identifier: Apache-2.0

#include "xds/snapshot/snapshot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>
#include <vector>

#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"

namespace contour::xds {
namespace {

using ::envoy::config::route::v3::RouteConfiguration;
using ::envoy::config::route::v3::VirtualHost;

Part MakeHost(const std::string& name, std::vector<std::string> clusters = {}) {
  VirtualHost message;
  message.set_name(name);
  message.add_domains(name);
  for (const std::string& cluster : clusters)
    message.add_routes()->mutable_route()->set_cluster(cluster);
  return {.name = name, .bytes = message.SerializeAsString(), .clusters = std::move(clusters)};
}

std::string Head(const std::string& name, bool validate = false) {
  RouteConfiguration message;
  message.set_name(name);
  if (validate) message.mutable_validate_clusters()->set_value(true);
  return message.SerializeAsString();
}

TEST(Types, AreFoundByUrl) {
  for (const TypeInfo& info : kTypes) {
    EXPECT_EQ(FindType(info.url), &info);
    EXPECT_EQ(&Info(info.type), &info);
  }
  EXPECT_EQ(FindType(""), nullptr);
  EXPECT_EQ(FindType("type.googleapis.com/envoy.api.v2.Cluster"), nullptr);
}

TEST(SnapshotEditor, EqualContentChangesNothing) {
  SnapshotEditor editor(nullptr);
  editor.Set(ResourceType::kCluster, {.name = "a", .bytes = "1"});
  editor.SetHead(ResourceType::kRoutes, "r", Head("r"));
  editor.SetPart(ResourceType::kRoutes, "r", MakeHost("h", {"a"}));
  const SnapshotPtr first = editor.Commit();

  editor.Set(ResourceType::kCluster, {.name = "a", .bytes = "1"});
  editor.SetPart(ResourceType::kRoutes, "r", MakeHost("h", {"a"}));
  editor.SetHead(ResourceType::kRoutes, "r", Head("r"));
  editor.Remove(ResourceType::kCluster, "absent");
  editor.RemovePart(ResourceType::kRoutes, "r", "absent");
  editor.RemovePart(ResourceType::kRoutes, "absent", "h");
  EXPECT_EQ(editor.Commit(), first);

  // There and back.
  editor.Set(ResourceType::kCluster, {.name = "a", .bytes = "2"});
  editor.Set(ResourceType::kCluster, {.name = "a", .bytes = "1"});
  editor.RemovePart(ResourceType::kRoutes, "r", "h");
  editor.SetPart(ResourceType::kRoutes, "r", MakeHost("h", {"a"}));
  EXPECT_EQ(editor.Commit(), first);
  EXPECT_EQ(first->UsersOfCluster("a"), 1U);
}

TEST(SnapshotEditor, FromNothingIsEmptyAndNotNull) {
  SnapshotEditor editor(nullptr);
  const SnapshotPtr snapshot = editor.Commit();
  ASSERT_NE(snapshot, nullptr);
  for (const TypeInfo& info : kTypes) EXPECT_TRUE(snapshot->table(info.type).empty());
}

TEST(SnapshotEditor, OldSnapshotsStay) {
  SnapshotEditor editor(nullptr);
  editor.Set(ResourceType::kEndpoints, {.name = "a", .bytes = "1"});
  editor.SetPart(ResourceType::kRoutes, "r", MakeHost("h1"));
  const SnapshotPtr first = editor.Commit();
  editor.Set(ResourceType::kEndpoints, {.name = "a", .bytes = "2"});
  editor.SetPart(ResourceType::kRoutes, "r", MakeHost("h2"));
  const SnapshotPtr second = editor.Commit();
  editor.Remove(ResourceType::kEndpoints, "a");
  editor.Remove(ResourceType::kRoutes, "r");
  const SnapshotPtr third = editor.Commit();
  EXPECT_EQ(first->Find(ResourceType::kEndpoints, "a")->bytes, "1");
  EXPECT_EQ(first->Find(ResourceType::kRoutes, "r")->parts.size(), 1U);
  EXPECT_EQ(second->Find(ResourceType::kEndpoints, "a")->bytes, "2");
  EXPECT_EQ(second->Find(ResourceType::kRoutes, "r")->parts.size(), 2U);
  EXPECT_EQ(third->Find(ResourceType::kEndpoints, "a"), nullptr);
  EXPECT_EQ(third->Find(ResourceType::kRoutes, "r"), nullptr);
  EXPECT_NE(first->Version(), second->Version());
}

TEST(SnapshotEditor, UnchangedPartsAreShared) {
  SnapshotEditor editor(nullptr);
  editor.SetPart(ResourceType::kRoutes, "r", MakeHost("h1"));
  editor.SetPart(ResourceType::kRoutes, "r", MakeHost("h2"));
  const SnapshotPtr first = editor.Commit();
  editor.SetPart(ResourceType::kRoutes, "r", MakeHost("h2", {"c"}));
  const SnapshotPtr second = editor.Commit();
  const auto part = [](const SnapshotPtr& snapshot, const char* name) {
    return snapshot->Find(ResourceType::kRoutes, "r")->parts.Find(name);
  };
  EXPECT_EQ(part(first, "h1"), part(second, "h1"));
  EXPECT_NE(part(first, "h2"), part(second, "h2"));
}

TEST(SnapshotEditor, CountsWhoUsesWhat) {
  SnapshotEditor editor(nullptr);
  Resource cluster{.name = "a/1", .bytes = "x"};
  cluster.assignment = "a";
  editor.Set(ResourceType::kCluster, cluster);
  cluster.name = "a/2";
  editor.Set(ResourceType::kCluster, cluster);
  editor.SetHead(ResourceType::kListener, "l", "head", {"a/1"});
  editor.SetPart(ResourceType::kRoutes, "r", MakeHost("h1", {"a/1", "a/2"}));
  editor.SetPart(ResourceType::kRoutes, "r", MakeHost("h2", {"a/1"}));
  SnapshotPtr snapshot = editor.Commit();
  EXPECT_EQ(snapshot->ClustersWithAssignment("a"), 2U);
  EXPECT_EQ(snapshot->UsersOfCluster("a/1"), 3U);
  EXPECT_EQ(snapshot->UsersOfCluster("a/2"), 1U);

  cluster.assignment = "b";
  cluster.bytes = "y";
  editor.Set(ResourceType::kCluster, cluster);
  editor.SetHead(ResourceType::kListener, "l", "head 2", {});
  editor.SetPart(ResourceType::kRoutes, "r", MakeHost("h1", {"a/2"}));
  editor.RemovePart(ResourceType::kRoutes, "r", "h2");
  snapshot = editor.Commit();
  EXPECT_EQ(snapshot->ClustersWithAssignment("a"), 1U);
  EXPECT_EQ(snapshot->ClustersWithAssignment("b"), 1U);
  EXPECT_EQ(snapshot->UsersOfCluster("a/1"), 0U);
  EXPECT_EQ(snapshot->UsersOfCluster("a/2"), 1U);

  editor.Remove(ResourceType::kCluster, "a/1");
  editor.Remove(ResourceType::kRoutes, "r");
  snapshot = editor.Commit();
  EXPECT_EQ(snapshot->ClustersWithAssignment("a"), 0U);
  EXPECT_EQ(snapshot->UsersOfCluster("a/2"), 0U);
}

TEST(Assemble, RouteConfigurationFromHeadAndHosts) {
  SnapshotEditor editor(nullptr);
  editor.SetPart(ResourceType::kRoutes, "r", MakeHost("b.example", {"c"}));
  editor.SetHead(ResourceType::kRoutes, "r", Head("r", true));
  editor.SetPart(ResourceType::kRoutes, "r", MakeHost("a.example"));
  const ResourcePtr routes = editor.Commit()->Find(ResourceType::kRoutes, "r");
  RouteConfiguration message;
  ASSERT_TRUE(message.ParseFromString(Assemble(ResourceType::kRoutes, *routes)));
  EXPECT_EQ(message.name(), "r");
  EXPECT_TRUE(message.validate_clusters().value());
  ASSERT_EQ(message.virtual_hosts_size(), 2);
  EXPECT_EQ(message.virtual_hosts(0).name(), "a.example");
  EXPECT_EQ(message.virtual_hosts(1).name(), "b.example");
  EXPECT_EQ(message.virtual_hosts(1).routes(0).route().cluster(), "c");
}

TEST(Assemble, ListenerFromHeadAndChains) {
  ::envoy::config::listener::v3::Listener head;
  head.set_name("ingress_https");
  ::envoy::config::listener::v3::FilterChain chain;
  chain.set_name(std::string(300, 'x'));  // a length of two bytes
  SnapshotEditor editor(nullptr);
  editor.SetHead(ResourceType::kListener, "ingress_https", head.SerializeAsString());
  editor.SetPart(ResourceType::kListener, "ingress_https",
                 {.name = "x", .bytes = chain.SerializeAsString()});
  const ResourcePtr listener = editor.Commit()->Find(ResourceType::kListener, "ingress_https");
  ::envoy::config::listener::v3::Listener message;
  ASSERT_TRUE(message.ParseFromString(Assemble(ResourceType::kListener, *listener)));
  EXPECT_EQ(message.name(), "ingress_https");
  ASSERT_EQ(message.filter_chains_size(), 1);
  EXPECT_EQ(message.filter_chains(0).name().size(), 300U);
}

TEST(Assemble, PartsWithoutHeadHaveTheName) {
  SnapshotEditor editor(nullptr);
  editor.SetPart(ResourceType::kRoutes, "r", MakeHost("a"));
  RouteConfiguration message;
  ASSERT_TRUE(message.ParseFromString(
      Assemble(ResourceType::kRoutes, *editor.Commit()->Find(ResourceType::kRoutes, "r"))));
  EXPECT_EQ(message.name(), "r");
}

// Whatever history leads to a content, its versions and bytes are those of a fresh build.
class SnapshotRandom : public testing::TestWithParam<unsigned> {};

TEST_P(SnapshotRandom, VersionsFollowFromContent) {
  std::mt19937 random(GetParam());
  const auto pick = [&](unsigned count) { return std::to_string(random() % count); };
  std::map<std::string, std::string> clusters;
  std::map<std::string, std::map<std::string, std::vector<std::string>>> routes;
  SnapshotEditor editor(nullptr);
  SnapshotPtr snapshot = editor.Commit();
  for (int step = 0; step < 400; ++step) {
    const std::string name = pick(12);
    const std::string route = pick(2);
    switch (random() % 5) {
      case 0:
        clusters[name] = pick(3);
        editor.Set(ResourceType::kCluster, {.name = name, .bytes = clusters[name]});
        break;
      case 1:
        clusters.erase(name);
        editor.Remove(ResourceType::kCluster, name);
        break;
      case 2:
      case 3:
        routes[route][name] = {pick(3)};
        editor.SetHead(ResourceType::kRoutes, route, Head(route));
        editor.SetPart(ResourceType::kRoutes, route, MakeHost(name, routes[route][name]));
        break;
      case 4:
        if (routes.contains(route)) routes[route].erase(name);
        editor.RemovePart(ResourceType::kRoutes, route, name);
        break;
    }
    if (random() % 20 == 0) {
      SnapshotEditor other(snapshot);  // an editor that starts from a snapshot
      snapshot = editor.Commit();
      EXPECT_NE(other.Commit(), nullptr);
    }
  }
  snapshot = editor.Commit();
  SnapshotEditor fresh(nullptr);
  std::map<std::string, std::size_t> users;
  for (const auto& [name, bytes] : clusters)
    fresh.Set(ResourceType::kCluster, {.name = name, .bytes = bytes});
  for (const auto& [route, hosts] : routes) {
    fresh.SetHead(ResourceType::kRoutes, route, Head(route));
    for (const auto& [host, used] : hosts) {
      fresh.SetPart(ResourceType::kRoutes, route, MakeHost(host, used));
      for (const std::string& cluster : used) ++users[cluster];
    }
  }
  const SnapshotPtr wanted = fresh.Commit();
  EXPECT_EQ(snapshot->Version(), wanted->Version());
  for (const ResourcePtr& resource : wanted->table(ResourceType::kRoutes).Sorted()) {
    EXPECT_EQ(
        Assemble(ResourceType::kRoutes, *snapshot->Find(ResourceType::kRoutes, resource->name)),
        Assemble(ResourceType::kRoutes, *resource));
  }
  for (const char* cluster : {"0", "1", "2"})
    EXPECT_EQ(snapshot->UsersOfCluster(cluster), users[cluster]);
}

INSTANTIATE_TEST_SUITE_P(Seeds, SnapshotRandom, testing::Range(0U, 50U));

TEST(Snapshot, APastSharesWithTheLiveOneWhatTheyHaveInCommon) {
  // Content "" is none.
  const auto make = [](const std::string& changed, const std::string& past_only,
                       const std::string& live_only) {
    SnapshotEditor editor(nullptr);
    const auto set = [&](const std::string& name, const std::string& content) {
      if (content.empty()) return;
      editor.Set(ResourceType::kCluster, {.name = name, .bytes = content});
      editor.SetPart(ResourceType::kRoutes, "r",
                     {.name = name, .bytes = content, .clusters = {name}});
    };
    editor.SetHead(ResourceType::kRoutes, "r", "head" + changed);
    set("same", "1");
    set("changed", changed);
    set("past", past_only);
    set("live", live_only);
    if (!past_only.empty()) editor.Set(ResourceType::kListener, {.name = "l", .bytes = "1"});
    return editor.Commit();
  };
  const SnapshotPtr past = make("1", "1", "");
  const SnapshotPtr live = make("2", "", "1");
  const SnapshotPtr shared = ShareContent(*past, live);
  EXPECT_EQ(shared->Version(), past->Version());
  const auto find = [](const SnapshotPtr& snapshot, const std::string& name) {
    return snapshot->Find(ResourceType::kCluster, name);
  };
  EXPECT_EQ(find(shared, "same"), find(live, "same"));
  const auto part = [](const SnapshotPtr& snapshot, const std::string& name) {
    return snapshot->Find(ResourceType::kRoutes, "r")->parts.Find(name);
  };
  EXPECT_EQ(part(shared, "same"), part(live, "same"));
  EXPECT_EQ(part(shared, "live"), nullptr);
  EXPECT_EQ(shared->UsersOfCluster("past"), 1U);
  EXPECT_EQ(ShareContent(*live, live), live);
}

}  // namespace
}  // namespace contour::xds
