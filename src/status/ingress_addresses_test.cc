// SPDX-License-Identifier: Apache-2.0

#include "status/ingress_addresses.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "base/status.h"
#include "status/fields.h"

namespace contour::status {
namespace {

using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

const api::ObjectRef kService{api::Kind::kService, "projectcontour", "envoy"};

api::ObjectRef Ingress(const std::string& name) { return {api::Kind::kIngress, "default", name}; }

class IngressAddressesTest : public ::testing::Test {
 protected:
  void ObserveService(std::vector<api::LoadBalancerIngress> addresses,
                      const api::ObjectRef& ref = kService) {
    auto service = std::make_shared<api::Service>();
    service->meta.ns = ref.ns;
    service->meta.name = ref.name;
    service->load_balancer = std::move(addresses);
    addresses_.Observe({{ref, service}});
  }
  // Returns the wanted fields since the last call: name → the list, "leave" if it isn't to be
  // touched.
  std::map<std::string, std::string> Take() { return std::exchange(wanted_, {}); }

  std::map<std::string, std::string> wanted_;
  IngressAddresses::Want want_ = [this](const api::ObjectRef& ref,
                                        std::optional<std::string> fields) {
    wanted_[ref.name] = fields.value_or("leave");
  };
  IngressAddresses addresses_{{.fixed = {}, .service = kService}, want_};
};

TEST_F(IngressAddressesTest, FollowTheService) {
  addresses_.SetOurs({{Ingress("a"), true}});
  EXPECT_THAT(Take(), IsEmpty()) << "nothing is known of the Service";
  ObserveService({{.ip = "192.0.2.1"}}, {api::Kind::kService, "projectcontour", "other"});
  EXPECT_THAT(Take(), IsEmpty());
  ObserveService({{.ip = "192.0.2.1"}});
  EXPECT_THAT(Take(), UnorderedElementsAre(Pair("a", AddressFields({{.ip = "192.0.2.1"}}))));
  addresses_.SetOurs({{Ingress("b"), true}});
  EXPECT_THAT(Take(), UnorderedElementsAre(Pair("b", AddressFields({{.ip = "192.0.2.1"}}))));
  ObserveService({{.ip = "192.0.2.1"}});
  EXPECT_THAT(Take(), IsEmpty()) << "nothing changed";
  ObserveService({{.hostname = "lb.example"}});
  const std::string by_name = AddressFields({{.hostname = "lb.example"}});
  EXPECT_THAT(Take(), UnorderedElementsAre(Pair("a", by_name), Pair("b", by_name)));
}

TEST_F(IngressAddressesTest, AreClearedWithTheService) {
  addresses_.SetOurs({{Ingress("a"), true}});
  addresses_.Observe({{kService, nullptr}});
  EXPECT_THAT(Take(), IsEmpty()) << "it never was there";
  ObserveService({});
  EXPECT_THAT(Take(), UnorderedElementsAre(Pair("a", AddressFields({}))));
  ObserveService({{.ip = "192.0.2.1"}});
  Take();
  addresses_.Observe({{kService, nullptr}});
  EXPECT_THAT(Take(), UnorderedElementsAre(Pair("a", AddressFields({}))));
}

TEST_F(IngressAddressesTest, LeavesIngressesOfAnotherClassAlone) {
  ObserveService({{.ip = "192.0.2.1"}});
  addresses_.SetOurs({{Ingress("a"), true}, {Ingress("b"), false}});
  Take();
  addresses_.SetOurs({{Ingress("a"), false}});
  EXPECT_THAT(Take(), UnorderedElementsAre(Pair("a", "leave")));
  ObserveService({{.ip = "192.0.2.2"}});
  EXPECT_THAT(Take(), IsEmpty());
}

TEST_F(IngressAddressesTest, ConfiguredOnesGoFirst) {
  IngressAddresses fixed({.fixed = {{.ip = "2001:db8::1"}}, .service = kService}, want_);
  auto service = std::make_shared<api::Service>();
  service->load_balancer = {{.ip = "192.0.2.1"}};
  fixed.Observe({{kService, service}});
  fixed.SetOurs({{Ingress("a"), true}});
  fixed.Observe({{kService, nullptr}});
  EXPECT_THAT(Take(), UnorderedElementsAre(Pair("a", AddressFields({{.ip = "2001:db8::1"}}))));
}

TEST(ParseAddresses, IPAddressesAndHostNames) {
  const auto parsed = ParseAddresses({"192.0.2.1", "2001:db8::1", "lb.example", "lb-1"});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_THAT(*parsed, testing::ElementsAre(api::LoadBalancerIngress{"192.0.2.1", ""},
                                            api::LoadBalancerIngress{"2001:db8::1", ""},
                                            api::LoadBalancerIngress{"", "lb.example"},
                                            api::LoadBalancerIngress{"", "lb-1"}));
  EXPECT_THAT(*ParseAddresses({}), IsEmpty());
  for (const char* bad :
       {"", "192.0.2", "192.0.2.1:80", "[2001:db8::1]", "http://lb", "a b", "300.1.2.3"}) {
    const auto result = ParseAddresses({"192.0.2.1", bad});
    EXPECT_FALSE(result.ok()) << bad;
    EXPECT_THAT(std::string(Message(result.status())), testing::HasSubstr(std::string("\"") + bad));
  }
}

}  // namespace
}  // namespace contour::status
