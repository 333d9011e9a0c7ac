// SPDX-License-Identifier: Apache-2.0
// Tests that content that stands in for a quarantined one is kept up to date: pipeline and
// quarantine together, with the NACKs of a simulated Envoy.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/endpoint_slice.h"
#include "api/ingress.h"
#include "api/secret.h"
#include "api/service.h"
#include "core/core.h"
#include "core/pipeline.h"
#include "envoy/names.h"
#include "tests/support/certificates.h"
#include "xds/fleet/quarantine.h"

namespace contour::core {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using std::chrono_literals::operator""s;
using xds::ResourcePtr;
using xds::ResourceType;

api::Change Service(const std::string& name, const std::string& port_name = "http") {
  auto service = std::make_shared<api::Service>();
  service->meta.ns = "default";
  service->meta.name = name;
  service->spec.ports.push_back({.name = port_name, .port = 80});
  return {service->Ref(), service};
}

api::Change Slice(const std::string& service, const std::string& address,
                  const std::string& port_name = "http") {
  auto slice = std::make_shared<api::EndpointSlice>();
  slice->meta.ns = "default";
  slice->meta.name = service + "-1";
  slice->service_name = service;
  slice->address_type = "IPv4";
  slice->endpoints.push_back({.addresses = {address}, .ready = true});
  slice->ports.push_back({.name = port_name, .port = 8080});
  return {slice->Ref(), slice};
}

api::Change Secret(const std::string& name, const testing::Pair& pair) {
  auto secret = std::make_shared<api::Secret>();
  secret->meta.ns = "default";
  secret->meta.name = name;
  secret->type = "kubernetes.io/tls";
  secret->tls_crt = pair.certificate;
  secret->tls_key = pair.key;
  return {secret->Ref(), secret};
}

api::Change Ingress(const std::string& service, const std::string& secret = "") {
  auto ingress = std::make_shared<api::Ingress>();
  ingress->meta.ns = "default";
  ingress->meta.name = "a";
  if (!secret.empty()) ingress->spec.tls.push_back({{"a.example"}, secret});
  api::IngressRule rule{.host = "a.example"};
  rule.http = {{.path = "/", .backend = {.service = service, .port_number = 80}}};
  ingress->spec.rules.push_back(rule);
  return {ingress->Ref(), ingress};
}

class StandIns : public ::testing::Test {
 public:
  StandIns()
      : pipeline_({}),
        quarantine_(
            {},
            [this](std::uint64_t ticket, const xds::ResourceKey&, const Hash128&) {
              ticket_ = ticket;
              return std::size_t{1};
            },
            [this](const xds::DeliveryPtr& delivery) { delivered_ = delivery; },
            [this](const xds::StandInNeeds& needs) {
              pipeline_.Follow(needs);
              needs_changed_ = true;
            }) {}

  void Apply(const std::vector<api::Change>& changes) {
    published_ = pipeline_.Apply(changes).snapshot;
    quarantine_.Publish(published_);
    while (std::exchange(needs_changed_, false)) Apply({});
  }

  // An Envoy runs what `before` has of the item, NACKs what is published, and takes the rest.
  void Refuse(const xds::ResourceKey& item, const xds::Snapshot& before,
              std::vector<std::pair<ResourceType, ResourcePtr>> needs) {
    xds::Culprit culprit;
    culprit.key = item;
    culprit.version = *xds::ContentVersion(*published_->Find(item.type, item.resource), item.part);
    const ResourcePtr ran = before.Find(item.type, item.resource);
    if (item.part.has_value()) {
      culprit.good.part = ran->parts.Find(*item.part);
    } else {
      culprit.good.resource = ran;
    }
    culprit.good.needs = std::move(needs);
    culprit.error_message = "no good";
    culprit.node_id = "envoy-1";
    quarantine_.Report(1, std::move(culprit));
    quarantine_.Answer(ticket_, {});
    while (std::exchange(needs_changed_, false)) Apply({});
  }

  // Returns the content that the Envoy that sent the NACK gets; empty: none.
  std::string Offered(ResourceType type, const std::string& name) const {
    const ResourcePtr found = delivered_->For("envoy-1")->Find(type, name);
    return found == nullptr ? "" : found->bytes;
  }
  const xds::Snapshot& published() const { return *published_; }
  xds::SnapshotPtr Keep() const { return published_; }

  static std::string ClusterOf(const xds::Snapshot& snapshot, const std::string& assignment) {
    std::string name;
    snapshot.table(ResourceType::kCluster).ForEach([&](const ResourcePtr& cluster) {
      if (cluster->assignment == assignment) name = cluster->name;
    });
    return name;
  }

 private:
  Pipeline pipeline_;
  xds::SnapshotPtr published_;
  xds::DeliveryPtr delivered_;
  std::uint64_t ticket_ = 0;
  bool needs_changed_ = false;
  xds::Quarantine quarantine_;
};

TEST_F(StandIns, EndpointsOfARoutesClusterAreFollowedThoughNoObjectUsesIt) {
  Apply({Service("blue"), Slice("blue", "10.0.0.1"), Service("green"), Slice("green", "10.0.1.1"),
         Ingress("blue")});
  const xds::SnapshotPtr before = Keep();
  const std::string blue = ClusterOf(*before, "default/blue/http");
  Apply({Ingress("green")});
  ASSERT_EQ(published().Find(ResourceType::kEndpoints, "default/blue/http"), nullptr);
  Refuse({ResourceType::kRoutes, std::string(envoy::kIngressHTTP), "a.example"}, *before,
         {{ResourceType::kCluster, before->Find(ResourceType::kCluster, blue)},
          {ResourceType::kEndpoints, before->Find(ResourceType::kEndpoints, "default/blue/http")}});
  EXPECT_THAT(Offered(ResourceType::kEndpoints, "default/blue/http"), HasSubstr("10.0.0.1"));
  EXPECT_NE(Offered(ResourceType::kCluster, blue), "");

  Apply({Slice("blue", "10.0.0.2")});
  EXPECT_THAT(Offered(ResourceType::kEndpoints, "default/blue/http"), HasSubstr("10.0.0.2"));
  EXPECT_THAT(Offered(ResourceType::kEndpoints, "default/blue/http"), Not(HasSubstr("10.0.0.1")));

  Apply({Service("red"), Ingress("red")});  // another content is tried again
  EXPECT_EQ(published().Find(ResourceType::kEndpoints, "default/blue/http"), nullptr)
      << "nothing stands in any more";
  EXPECT_EQ(Offered(ResourceType::kEndpoints, "default/blue/http"), "");
}

TEST_F(StandIns, AClusterHasTheEndpointsOfTheContentThatWasRefused) {
  Apply({Service("blue"), Slice("blue", "10.0.0.1"), Ingress("blue")});
  const xds::SnapshotPtr before = Keep();
  const std::string blue = ClusterOf(*before, "default/blue/http");
  Apply({Service("blue", "web")});
  ASSERT_EQ(ClusterOf(published(), "default/blue/web"), blue);
  Refuse({ResourceType::kCluster, blue, std::nullopt}, *before,
         {{ResourceType::kEndpoints, before->Find(ResourceType::kEndpoints, "default/blue/http")}});
  EXPECT_THAT(Offered(ResourceType::kEndpoints, "default/blue/http"), HasSubstr("10.0.0.1"))
      << "the slices have yet to get the new name";

  Apply({Slice("blue", "10.0.0.2", "web")});
  EXPECT_THAT(Offered(ResourceType::kEndpoints, "default/blue/http"), HasSubstr("10.0.0.2"));
  EXPECT_THAT(Offered(ResourceType::kEndpoints, "default/blue/http"), HasSubstr("/http"));
}

TEST_F(StandIns, ASecretOfAFilterChainIsFollowedThoughNoObjectUsesIt) {
  const testing::Pair first = testing::MakePair("a.example");
  const testing::Pair renewed = testing::MakePair("a.example");
  Apply({Service("blue"), Secret("old", first), Secret("new", first), Ingress("blue", "old")});
  const xds::SnapshotPtr before = Keep();
  Apply({Ingress("blue", "new")});
  ASSERT_EQ(published().Find(ResourceType::kSecret, "default/old"), nullptr);
  Refuse({ResourceType::kListener, std::string(envoy::kIngressHTTPS), "a.example"}, *before,
         {{ResourceType::kSecret, before->Find(ResourceType::kSecret, "default/old")}});
  EXPECT_THAT(Offered(ResourceType::kSecret, "default/old"), HasSubstr(first.certificate));

  Apply({Secret("old", renewed)});
  EXPECT_THAT(Offered(ResourceType::kSecret, "default/old"), HasSubstr(renewed.certificate));
  Apply({{Secret("old", renewed).ref, nullptr}});
  EXPECT_THAT(Offered(ResourceType::kSecret, "default/old"), HasSubstr(renewed.certificate))
      << "one that is gone stays as it was";
  Apply({Ingress("blue")});
  EXPECT_EQ(published().Find(ResourceType::kSecret, "default/old"), nullptr);
}

TEST(Followed, UsedNamesAreNotTouchedAndUnreadableNamesAreIgnored) {
  Pipeline pipeline({});
  const xds::SnapshotPtr before =
      pipeline.Apply({Service("blue"), Slice("blue", "10.0.0.1"), Ingress("blue")}).snapshot;
  pipeline.Follow(
      {.assignments = {"default/blue/http", "x", "a/b/c/d"}, .secrets = {"y", "a/b/c"}});
  EXPECT_EQ(pipeline.Apply({}).snapshot, before);
  pipeline.Follow({});
  EXPECT_EQ(pipeline.Apply({}).snapshot, before);
}

TEST(Core, BuildsAnewWhenSomethingElseIsFollowed) {
  std::promise<void> followed;
  bool held = false;
  Core core({}, [&](const Pipeline::Output& output) {
    const bool holds =
        output.snapshot->Find(ResourceType::kEndpoints, "default/blue/http") != nullptr;
    if (holds && !std::exchange(held, true)) followed.set_value();
  });
  api::Sink& source = core.AddSource();
  core.Start();
  source.Apply({Service("blue"), Slice("blue", "10.0.0.1")});
  source.Synced();
  core.Follow({.assignments = {"default/blue/http"}, .secrets = {}});
  EXPECT_EQ(followed.get_future().wait_for(10s), std::future_status::ready);
  core.Stop();
}

}  // namespace
}  // namespace contour::core
