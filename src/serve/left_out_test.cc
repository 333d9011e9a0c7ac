// SPDX-License-Identifier: Apache-2.0
#include "serve/left_out.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"

namespace contour::serve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(KindsLeftOut, AreThoseThatAreNamed) {
  config::Serve config;
  EXPECT_THAT(*KindsLeftOut(config), ElementsAre());
  config.without = {"Secret", "ingressclass"};
  EXPECT_THAT(*KindsLeftOut(config), ElementsAre(api::Kind::kSecret, api::Kind::kIngressClass));
}

TEST(KindsLeftOut, RefusesToLeaveOutANeededKind) {
  for (const char* name : {"Service", "EndpointSlice", "Endpoints", "Secrets", "", "*"}) {
    config::Serve config;
    config.without = {name};
    const auto kinds = KindsLeftOut(config);
    ASSERT_FALSE(kinds.ok()) << name;
    EXPECT_THAT(std::string(Message(kinds.status())),
                HasSubstr("--without: expected kinds among Secret, Ingress, IngressClass, "
                          "IngressRoute, TLSCertificateDelegation"));
  }
}

TEST(KindsLeftOut, AFolderHasNoRights) {
  config::Serve config;
  config.without = {"Secret"};
  config.manifests = "/etc/contour/manifests";
  EXPECT_THAT(std::string(Message(KindsLeftOut(config).status())), HasSubstr("--manifests"));
}

}  // namespace
}  // namespace contour::serve
