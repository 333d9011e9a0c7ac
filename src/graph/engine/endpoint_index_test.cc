// SPDX-License-Identifier: Apache-2.0

#include "graph/engine/endpoint_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

namespace contour::graph {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Address = Assignment::Address;

std::shared_ptr<api::EndpointSlice> Slice(const std::string& name,
                                          std::vector<api::Endpoint> endpoints,
                                          std::vector<api::EndpointPort> ports = {
                                              {"http", 8080, "TCP"}}) {
  auto slice = std::make_shared<api::EndpointSlice>();
  slice->meta.ns = "default";
  slice->meta.name = name;
  slice->service_name = "kuard";
  slice->address_type = "IPv4";
  slice->endpoints = std::move(endpoints);
  slice->ports = std::move(ports);
  return slice;
}

const ServiceKey kKuard{"default", "kuard"};

std::vector<Address> Built(const EndpointIndex& index, const std::string& port = "http") {
  return index.Build(kKuard, port).addresses;
}

TEST(EndpointIndex, MergesSlicesWithoutDuplicates) {
  EndpointIndex index;
  const auto first = Slice("a", {{.addresses = {"10.0.0.2"}}, {.addresses = {"10.0.0.1"}}});
  const auto second = Slice("b", {{.addresses = {"10.0.0.2"}}, {.addresses = {"10.0.0.3"}}});
  EXPECT_THAT(index.Apply({first->Ref(), first}), ElementsAre(kKuard));
  EXPECT_THAT(index.Apply({second->Ref(), second}), ElementsAre(kKuard));
  EXPECT_THAT(Built(index), ElementsAre(Address{"10.0.0.1", 8080}, Address{"10.0.0.2", 8080},
                                        Address{"10.0.0.3", 8080}));
  EXPECT_THAT(index.Apply({first->Ref(), nullptr}), ElementsAre(kKuard));
  EXPECT_THAT(Built(index), ElementsAre(Address{"10.0.0.2", 8080}, Address{"10.0.0.3", 8080}));
  index.Apply({second->Ref(), nullptr});
  EXPECT_THAT(Built(index), IsEmpty());
  EXPECT_EQ(index.size(), 0U);
}

TEST(EndpointIndex, EqualObjectTouchesNothing) {
  EndpointIndex index;
  const auto slice = Slice("a", {{.addresses = {"10.0.0.1"}}});
  index.Apply({slice->Ref(), slice});
  auto same = Slice("a", {{.addresses = {"10.0.0.1"}}});
  same->meta.resource_version = "2";
  EXPECT_THAT(index.Apply({same->Ref(), same}), IsEmpty());
}

TEST(EndpointIndex, SliceThatMovesTouchesBothServices) {
  EndpointIndex index;
  const auto slice = Slice("a", {{.addresses = {"10.0.0.1"}}});
  index.Apply({slice->Ref(), slice});
  auto moved = Slice("a", {{.addresses = {"10.0.0.1"}}});
  moved->service_name = "other";
  EXPECT_THAT(index.Apply({moved->Ref(), moved}),
              ElementsAre(kKuard, ServiceKey{"default", "other"}));
  EXPECT_THAT(Built(index), IsEmpty());
}

TEST(EndpointIndex, ReadyUnlessSaidOtherwise) {
  EndpointIndex index;
  const auto slice = Slice(
      "a", {{.addresses = {"10.0.0.1"}},
            {.addresses = {"10.0.0.2"}, .ready = true},
            {.addresses = {"10.0.0.3"}, .ready = false, .serving = true, .terminating = true}});
  index.Apply({slice->Ref(), slice});
  EXPECT_THAT(Built(index), ElementsAre(Address{"10.0.0.1", 8080}, Address{"10.0.0.2", 8080}));
}

TEST(EndpointIndex, TerminatingOnesServeWhenNothingElseDoes) {
  EndpointIndex index;
  const auto slice = Slice(
      "a", {{.addresses = {"10.0.0.1"}, .ready = false},
            {.addresses = {"10.0.0.2"}, .ready = false, .serving = true},
            {.addresses = {"10.0.0.3"}, .ready = false, .serving = true, .terminating = true}});
  index.Apply({slice->Ref(), slice});
  EXPECT_THAT(Built(index), ElementsAre(Address{"10.0.0.3", 8080}));
}

TEST(EndpointIndex, PortsByNameAndOnlyTCP) {
  EndpointIndex index;
  const auto slice = Slice(
      "a", {{.addresses = {"10.0.0.1"}}},
      {{"http", 8080, "TCP"}, {"admin", 9000, "TCP"}, {"http", 53, "UDP"}, {"http", 0, "TCP"}});
  index.Apply({slice->Ref(), slice});
  EXPECT_THAT(Built(index, "http"), ElementsAre(Address{"10.0.0.1", 8080}));
  EXPECT_THAT(Built(index, "admin"), ElementsAre(Address{"10.0.0.1", 9000}));
  EXPECT_THAT(Built(index, "none"), IsEmpty());
}

TEST(EndpointIndex, HostNamesAreNoAddresses) {
  EndpointIndex index;
  const auto slice =
      Slice("a", {{.addresses = {"pod.example.com"}}, {.addresses = {"2001:db8::1"}}});
  index.Apply({slice->Ref(), slice});
  EXPECT_THAT(Built(index), ElementsAre(Address{"2001:db8::1", 8080}));
}

TEST(EndpointIndex, EndpointsOfManifests) {
  EndpointIndex index;
  auto endpoints = std::make_shared<api::Endpoints>();
  endpoints->meta.ns = "default";
  endpoints->meta.name = "kuard";
  endpoints->subsets = {{{"10.0.0.1"}, {"10.0.0.9"}, {{"http", 8080, "TCP"}}},
                        {{"10.0.0.2"}, {}, {{"http", 8081, "TCP"}, {"admin", 9000, "TCP"}}}};
  EXPECT_THAT(index.Apply({endpoints->Ref(), endpoints}), ElementsAre(kKuard));
  EXPECT_THAT(Built(index), ElementsAre(Address{"10.0.0.1", 8080}, Address{"10.0.0.2", 8081}));
  EXPECT_THAT(Built(index, "admin"), ElementsAre(Address{"10.0.0.2", 9000}));
}

}  // namespace
}  // namespace contour::graph
