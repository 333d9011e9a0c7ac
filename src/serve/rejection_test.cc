// SPDX-License-Identifier: Apache-2.0

#include "serve/rejection.h"

#include <gtest/gtest.h>

namespace contour::serve {
namespace {

using xds::ResourceType;

TEST(ResourceText, NamesTheResourceAsPeopleDo) {
  EXPECT_EQ(ResourceText({ResourceType::kCluster, "default/a/80/1", std::nullopt}),
            "CDS default/a/80/1");
  EXPECT_EQ(ResourceText({ResourceType::kRoutes, "ingress_http", "a.example"}),
            "virtual host a.example of RDS ingress_http");
  EXPECT_EQ(ResourceText({ResourceType::kListener, "ingress_https", "a.example"}),
            "filter chain a.example of LDS ingress_https");
}

TEST(RejectionOf, AsksForTheSourcesOfTheResource) {
  xds::QuarantineView view;
  view.key = {ResourceType::kCluster, "c", std::nullopt};
  view.error_message = "bad";
  view.node_id = "edge";
  view.reach = xds::Reach::kFleet;
  const status::EnvoyRejection rejection =
      RejectionOf(view, false, [](const xds::ResourceKey& item, std::size_t most) {
        return std::vector<status::SourceObject>(
            most, {{api::Kind::kService, "default", item.resource}, "", ""});
      });
  EXPECT_EQ(rejection.error_message, "bad");
  EXPECT_TRUE(rejection.all_envoys);
  EXPECT_FALSE(rejection.ended);
  const auto sources = rejection.sources(2);
  ASSERT_EQ(sources->size(), 2U);
  EXPECT_EQ(sources->front().ref.name, "c");
}

}  // namespace
}  // namespace contour::serve
