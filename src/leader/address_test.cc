// SPDX-License-Identifier: Apache-2.0
#include "leader/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "base/status.h"
#include "kube/testing_io.h"

namespace contour::leader {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;
using testing::HasSubstr;

constexpr const char* kCollection =
    "/apis/discovery.k8s.io/v1/namespaces/projectcontour/endpointslices";

const std::string kList = std::string(kCollection) + "?labelSelector=kubernetes.io%2Fservice-name";

class AddressTest : public testing::Test {
 protected:
  AddressTest() {
    options_.ns = "projectcontour";
    options_.pod_ip = "10.244.1.7";
    kube::ServerConfig config;
    config.server = "http://server";
    client_ = std::make_unique<kube::Client>(*kube::Credentials::Create(config),
                                             kube::ClientOptions(), io_, io_);
  }
  void Make() {
    address_ = std::make_unique<Address>(
        options_, *client_, io_, [this] { return may_write_; },
        [this](const Address::State& state) { state_ = state; });
  }
  std::string Right() { return **WantedSlice(options_, ""); }
  // Answers the request for the Service's other slices.
  void NoOthers() { io_.Next(kList).Answer(200, R"({"kind":"EndpointSliceList","items":[]})"); }

  kube::FakeIo io_;
  std::unique_ptr<kube::Client> client_;
  AddressOptions options_;
  Address::State state_;
  bool may_write_ = true;
  std::unique_ptr<Address> address_;  // last: as it ends it tells the state
};

TEST_F(AddressTest, TheSliceOfTheLeader) {
  EXPECT_EQ(Json::parse(Right()), Json::parse(R"({
    "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
    "metadata": {"name": "contour-leader", "namespace": "projectcontour",
                 "labels": {"kubernetes.io/service-name": "contour",
                            "endpointslice.kubernetes.io/managed-by": "contour"}},
    "endpoints": [{"addresses": ["10.244.1.7"], "conditions": {"ready": true}}],
    "ports": [{"name": "xds", "port": 8001, "protocol": "TCP"}]})"));
  options_.pod_ip = "fd00::7";
  EXPECT_EQ(Json::parse(Right())["addressType"], "IPv6");
}

TEST_F(AddressTest, OnlyWhatDiffersIsChanged) {
  Json present = Json::parse(Right());
  present["metadata"]["resourceVersion"] = "9";
  present["metadata"]["labels"]["keep"] = "me";
  EXPECT_EQ(*WantedSlice(options_, present.dump()), std::nullopt);
  present["endpoints"][0]["addresses"][0] = "10.244.9.9";
  const Json wanted = Json::parse(**WantedSlice(options_, present.dump()));
  EXPECT_EQ(wanted["metadata"], present["metadata"]);
  EXPECT_EQ(wanted["endpoints"][0]["addresses"][0], "10.244.1.7");
}

TEST_F(AddressTest, AnotherFamilyCannotBeChanged) {
  const absl::StatusOr<std::optional<std::string>> wanted =
      WantedSlice(options_, R"({"kind":"EndpointSlice","addressType":"IPv6"})");
  ASSERT_FALSE(wanted.ok());
  EXPECT_THAT(std::string(Message(wanted.status())), HasSubstr("delete endpointslice"));
}

TEST_F(AddressTest, CreatedReplacedLeftAlone) {
  Make();
  address_->Publish();
  io_.Next(kCollection).Answer(404, "");
  auto& create = io_.Next(kCollection);
  EXPECT_EQ(create.request.method, "POST");
  create.Answer(201, create.request.body);
  NoOthers();
  EXPECT_TRUE(state_.published);

  io_.Advance(10s);  // looked at again: somebody else's
  Json foreign = Json::parse(Right());
  foreign["endpoints"] = Json::array();
  foreign["metadata"]["resourceVersion"] = "12";
  io_.Next(kCollection).Answer(200, foreign.dump());
  auto& replace = io_.Next(kCollection);
  EXPECT_EQ(replace.request.method, "PUT");
  EXPECT_EQ(Json::parse(replace.request.body)["metadata"]["resourceVersion"], "12");
  replace.Answer(200, replace.request.body);
  NoOthers();
  EXPECT_EQ(state_.writes, 2u);

  io_.Advance(10s);
  io_.Next(kCollection).Answer(200, Right());
  NoOthers();
  EXPECT_EQ(io_.Find(kCollection), nullptr);
  EXPECT_EQ(state_.writes, 2u);
}

TEST(WantedSliceTest, RefusesAnObjectThatIsNoEndpointSlice) {
  for (const char* present :
       {"<html>It works!</html>", "[]", "{}", R"({"kind":"Status","metadata":{}})"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(WantedSlice({}, present).status())) << present;
    EXPECT_TRUE(absl::IsInvalidArgument(WantedSlice({.all_serve = true}, present).status()));
    EXPECT_TRUE(absl::IsInvalidArgument(SlicesOfOthers({}, present).status())) << present;
  }
}

TEST_F(AddressTest, NothingIsWrittenWithoutTheLease) {
  Make();
  address_->Publish();
  may_write_ = false;
  io_.Next(kCollection).Answer(404, "");
  EXPECT_FALSE(state_.published);
  EXPECT_EQ(state_.writes, 0u);
  for (int i = 0; i < 3; ++i) {
    io_.Advance(10s);
    if (auto* const read = io_.Find(kCollection)) {
      EXPECT_EQ(read->request.method, "GET");
      read->Answer(404, "");
    }
  }
  EXPECT_EQ(state_.writes, 0u);
}

TEST_F(AddressTest, WithdrawnItAsksNothingMore) {
  Make();
  address_->Publish();
  io_.Next(kCollection).Answer(200, Right());
  NoOthers();
  EXPECT_TRUE(state_.published);
  address_->Withdraw();
  EXPECT_FALSE(state_.published);
  io_.Advance(1min);
  EXPECT_EQ(io_.Find(kCollection), nullptr);
}

TEST_F(AddressTest, MissingRightsAreNamed) {
  Make();
  address_->Publish();
  io_.Next(kCollection).Answer(403, "no");
  EXPECT_THAT(state_.problem, HasSubstr("deploy/rbac"));
  io_.Advance(1s);
  io_.Next(kCollection).Answer(200, Right());
  NoOthers();
  EXPECT_EQ(state_.problem, "");
}

TEST_F(AddressTest, PublishesNothingWithoutAnAddressAndReportsWhy) {
  options_.pod_ip.clear();
  Make();
  EXPECT_EQ(state_.problem, "") << "nobody leads yet";
  address_->Publish();
  EXPECT_EQ(io_.Find(kCollection), nullptr);
  EXPECT_FALSE(state_.published);
  EXPECT_THAT(state_.problem, testing::AllOf(HasSubstr("POD_IP"), HasSubstr("status.podIP")));
  address_->Withdraw();
  EXPECT_EQ(state_.problem, "") << "another leads";
}

TEST_F(AddressTest, WhereAllServeTheAddressOfAFormerLeaderIsTakenBack) {
  Json present = Json::parse(Right());
  present["metadata"]["resourceVersion"] = "9";
  options_.all_serve = true;
  options_.pod_ip.clear();
  Make();
  address_->Publish();
  io_.Next(kCollection).Answer(200, present.dump());
  auto& replace = io_.Next(kCollection);
  EXPECT_EQ(replace.request.method, "PUT");
  present["endpoints"] = Json::array();
  EXPECT_EQ(Json::parse(replace.request.body), present) << "all else stays";
  replace.Answer(200, replace.request.body);
  EXPECT_TRUE(state_.published);
  EXPECT_EQ(state_.writes, 1u);

  for (const char* empty :
       {R"({"kind":"EndpointSlice","endpoints":[]})",
        R"({"kind":"EndpointSlice","endpoints":null})", R"({"kind":"EndpointSlice"})"}) {
    io_.Advance(10s);  // looked at again: a leader of the older configuration may have written it
    io_.Next(kCollection).Answer(200, empty);
    EXPECT_EQ(io_.Find(kCollection), nullptr) << empty;
  }
  EXPECT_EQ(state_.writes, 1u);
}

TEST_F(AddressTest, SlicesThatAreLeftFromASelectorAreNamed) {
  Make();
  address_->Publish();
  io_.Next(kCollection).Answer(200, Right());
  const std::string left = R"({"kind":"EndpointSliceList","items":[
      {"metadata":{"name":"contour-leader"},"endpoints":[{"addresses":["10.244.1.7"]}]},
      {"metadata":{"name":"contour-empty"},"endpoints":null},
      {"metadata":{"name":"contour-x"},"endpoints":[{"addresses":["10.244.1.9"]}]},
      {"metadata":{"name":"contour-y"},"endpoints":[{"addresses":["10.244.1.8"]}]}]})";
  io_.Next(kList).Answer(200, left);
  EXPECT_FALSE(state_.published);
  EXPECT_THAT(state_.problem, HasSubstr("delete endpointslice contour-x contour-y)"));
  io_.Advance(10s);
  io_.Next(kCollection).Answer(200, Right());
  io_.Next(kList).Answer(403, "no");
  EXPECT_THAT(state_.problem, HasSubstr("contour-x")) << "no answer is not a better one";
  io_.Advance(10s);
  io_.Next(kCollection).Answer(200, Right());
  NoOthers();
  EXPECT_TRUE(state_.published);
  EXPECT_EQ(state_.problem, "");
  EXPECT_FALSE(SlicesOfOthers(options_, "garbage").ok());
  EXPECT_FALSE(SlicesOfOthers(options_, "{}").ok());
}

TEST_F(AddressTest, WhereAllServeNoSliceIsMade) {
  options_.all_serve = true;
  Make();
  address_->Publish();
  io_.Next(kCollection).Answer(404, "");
  EXPECT_EQ(io_.Find(kCollection), nullptr);
  EXPECT_TRUE(state_.published);
  EXPECT_EQ(state_.writes, 0u);
}

}  // namespace
}  // namespace contour::leader
