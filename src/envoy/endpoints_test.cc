// SPDX-License-Identifier: Apache-2.0
#include "envoy/endpoints.h"

#include <gtest/gtest.h>

#include <string>

#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/testing.h"

namespace contour::envoy {
namespace {

using ::envoy::config::endpoint::v3::ClusterLoadAssignment;

TEST(TranslateAssignmentTest, KeepsTheAddressesInOrder) {
  const Resource got = TranslateAssignment(
      {"default", "kuard", "http", {{"10.0.0.1", 8080}, {"10.0.0.1", 8081}, {"fd00::1", 8080}}});
  EXPECT_EQ(got.name, "default/kuard/http");
  EXPECT_EQ(Difference<ClusterLoadAssignment>(got.bytes, R"(
      cluster_name: "default/kuard/http"
      endpoints {
        lb_endpoints { endpoint { address { socket_address { address: "10.0.0.1" port_value: 8080 } } } }
        lb_endpoints { endpoint { address { socket_address { address: "10.0.0.1" port_value: 8081 } } } }
        lb_endpoints { endpoint { address { socket_address { address: "fd00::1" port_value: 8080 } } } }
      })"),
            "");
}

TEST(TranslateAssignmentTest, EmptyOnesHaveANameOnly) {
  const Resource got = TranslateAssignment({"default", "kuard", "", {}});
  EXPECT_EQ(got.name, "default/kuard");
  EXPECT_EQ(Difference<ClusterLoadAssignment>(got.bytes, R"(cluster_name: "default/kuard")"), "");
}

TEST(TranslateAssignmentTest, LeavesOutWhatIsNoAddress) {
  const Resource got =
      TranslateAssignment({"default",
                           "kuard",
                           "",
                           {{"", 80}, {"node.example.com", 80}, {"10.0.0.256", 80}, {"\xff", 80}}});
  EXPECT_EQ(Difference<ClusterLoadAssignment>(got.bytes, R"(cluster_name: "default/kuard")"), "");
}

}  // namespace
}  // namespace contour::envoy
