// SPDX-License-Identifier: Apache-2.0

#include "status/fields.h"

#include <gtest/gtest.h>

#include "api/ingress.h"
#include "api/ingress_route.h"
#include "api/secret.h"
#include "graph/kinds/ingressroute/status.h"

namespace contour::status {
namespace {

TEST(Fields, AnIngressRouteHasStatusAndDescription) {
  EXPECT_EQ(Fields(api::Kind::kIngressRoute,
                   graph::ingressroute::MakeStatus("invalid", "route \"/\": x\n", "label")),
            R"({"currentStatus":"invalid","description":"route \"/\": x\n"})");
  EXPECT_EQ(Fields(api::Kind::kIngressRoute, graph::ingressroute::MakeStatus("valid", "\xff", "")),
            "{\"currentStatus\":\"valid\",\"description\":\"\xEF\xBF\xBD\"}")
      << "bytes that are no UTF-8 don't throw";
}

TEST(Fields, AddressesOfAnIngressAreASet) {
  const std::string fields =
      R"({"loadBalancer":{"ingress":[{"hostname":"a"},{"ip":"192.0.2.1"}]}})";
  EXPECT_EQ(AddressFields({{.ip = "192.0.2.1"}, {.hostname = "a"}}), fields);
  EXPECT_EQ(AddressFields({{.hostname = "a"}, {.ip = "192.0.2.1"}, {.hostname = "a"}}), fields);
  EXPECT_EQ(AddressFields({{.ip = "192.0.2.1", .hostname = "a"}}),
            R"({"loadBalancer":{"ingress":[{"hostname":"a","ip":"192.0.2.1"}]}})");
  EXPECT_EQ(AddressFields({}), R"({"loadBalancer":{"ingress":null}})");
}

TEST(Fields, ReadsTheFieldsOfObjects) {
  api::IngressRoute route;
  route.status = {"valid", "valid IngressRoute"};
  EXPECT_EQ(FieldsOf(route), Fields(api::Kind::kIngressRoute,
                                    graph::ingressroute::MakeStatus("valid", "valid IngressRoute",
                                                                    "a label that isn't written")));
  api::Ingress ingress;
  EXPECT_EQ(FieldsOf(ingress), AddressFields({}));
  ingress.load_balancer = {{.hostname = "b"}, {.hostname = "a"}};
  EXPECT_EQ(FieldsOf(ingress), AddressFields({{.hostname = "a"}, {.hostname = "b"}}));
  EXPECT_EQ(FieldsOf(api::Secret()), std::nullopt);
}

TEST(Fields, ReadFromAnAnswer) {
  const std::string object = R"({"metadata":{"resourceVersion":"7","managedFields":[
      {"manager":"kubectl","operation":"Update","time":"2026-01-03T00:00:00Z",
       "fieldsV1":{"f:spec":{}}},
      {"manager":"old-operator","operation":"Update","subresource":"status",
       "time":"2026-01-01T00:00:00Z","fieldsV1":{"f:status":{}}},
      {"manager":"operator","operation":"Update","time":"2026-01-02T00:00:00Z",
       "fieldsV1":{"f:status":{"f:description":{}}}},
      {"manager":"contour-status","operation":"Update","subresource":"status",
       "time":"2026-01-04T00:00:00Z","fieldsV1":{"f:status":{}}}]}})";
  EXPECT_EQ(ResourceVersionOf(object), "7");
  EXPECT_EQ(OtherWriterOf(object), "operator");
  EXPECT_EQ(OtherWriterOf(R"({"metadata":{}})"), "");
  for (const char* text : {"", "{", "[]", R"({"metadata":{"resourceVersion":7,"managedFields":7}})",
                           R"({"metadata":{"managedFields":[1,{}]}})"}) {
    EXPECT_EQ(ResourceVersionOf(text), "") << text;
    EXPECT_EQ(OtherWriterOf(text), "") << text;
  }
}

}  // namespace
}  // namespace contour::status
