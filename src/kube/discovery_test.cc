// SPDX-License-Identifier: Apache-2.0

#include "kube/discovery.h"

#include <gtest/gtest.h>

#include <string>

#include "base/status.h"
#include "kube/testing_objects.h"

namespace contour::kube {
namespace {

constexpr api::Kind kRoute = api::Kind::kIngressRoute;

TEST(DiscoveryTest, NamesTheGroupAndVersionOrLacksIt) {
  EXPECT_EQ(ResourcesPath(kRoute), "/apis/contour.heptio.com/v1beta1");
  EXPECT_TRUE(*HasVersion(GroupsJson({"contour.heptio.com/v1beta1"}), kRoute));
  EXPECT_FALSE(*HasVersion(GroupsJson({}), kRoute));
  EXPECT_FALSE(*HasVersion(GroupsJson({"contour.heptio.com/v1"}), kRoute));
  EXPECT_FALSE(*HasVersion(GroupsJson({"projectcontour.io/v1beta1"}), kRoute));
}

TEST(DiscoveryTest, NamesTheResourceOrLacksIt) {
  EXPECT_TRUE(*HasResource(
      ResourcesJson("contour.heptio.com/v1beta1", {"ingressroutes", "ingressroutes/status"}),
      kRoute));
  EXPECT_FALSE(*HasResource(
      ResourcesJson("contour.heptio.com/v1beta1", {"tlscertificatedelegations"}), kRoute));
  EXPECT_FALSE(*HasResource(ResourcesJson("contour.heptio.com/v1beta1", {}), kRoute));
}

TEST(DiscoveryTest, AnAnswerThatIsNotOfAnAPIServerProvesNothing) {
  for (const std::string& text : {
           std::string(),
           std::string("default backend - 404"),
           std::string("<html></html>"),
           std::string("[]"),
           std::string("{}"),
           std::string(R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success"})"),
           std::string(R"({"kind":"APIGroupList","apiVersion":"v1"})"),
           std::string(R"({"kind":"APIGroupList","apiVersion":"v1","groups":null})"),
           // Every API server has certain groups.
           std::string(R"({"kind":"APIGroupList","apiVersion":"v1","groups":[]})"),
           std::string(R"({"kind":"APIGroupList","apiVersion":"v1","groups":[1,{},[]]})"),
           GroupsJson({}).substr(0, 60),
       }) {
    EXPECT_TRUE(absl::IsInvalidArgument(HasVersion(text, kRoute).status())) << text;
  }
  for (const std::string& text : {
           std::string("<html></html>"),
           std::string(R"({"kind":"APIResourceList"})"),
           std::string(R"({"kind":"APIResourceList","resources":[]})"),
           ResourcesJson("contour.heptio.com/v1", {}),
           GroupsJson({}),
       }) {
    EXPECT_TRUE(absl::IsInvalidArgument(HasResource(text, kRoute).status())) << text;
  }
}

}  // namespace
}  // namespace contour::kube
