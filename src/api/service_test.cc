// SPDX-License-Identifier: Apache-2.0

#include "api/service.h"

#include "api/test_objects.h"

namespace contour::api {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kFull[] = R"({
  "apiVersion": "v1", "kind": "Service",
  "metadata": {"name": "kuard", "namespace": "roots", "uid": "u1", "resourceVersion": "17", "generation": 3,
    "annotations": {"contour.heptio.com/max-requests": "9", "other.example/x": "ignored"}},
  "spec": {"type": "ExternalName", "externalName": "example.com", "clusterIP": "10.0.0.1",
    "ports": [{"name": "http", "port": 80, "protocol": "UDP", "targetPort": "web"}, {"port": 8080, "nodePort": null}]},
  "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"hostname": "lb.example.com"}]}}
})";

TEST(Service, ReadsEveryField) {
  const Service service = ParseAs<Service>(kFull);
  EXPECT_EQ(service.Ref().String(), "Service roots/kuard");
  EXPECT_EQ(service.spec.type, "ExternalName");
  EXPECT_EQ(service.spec.external_name, "example.com");
  EXPECT_THAT(service.spec.ports,
              ElementsAre(ServicePort{"http", 80, "UDP"}, ServicePort{"", 8080, "TCP"}));
  EXPECT_THAT(service.load_balancer, ElementsAre(LoadBalancerIngress{"192.0.2.1", ""},
                                                 LoadBalancerIngress{"", "lb.example.com"}));
}

TEST(Service, Defaults) {
  const Service service =
      ParseAs<Service>(R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"a"}})");
  EXPECT_EQ(service.spec, ServiceSpec());
  EXPECT_EQ(service.spec.type, "ClusterIP");
  EXPECT_THAT(service.load_balancer, IsEmpty());
}

TEST(Service, Meaning) {
  ExpectMeanings<Service>(kFull,
                          {{R"("ExternalName")", R"("ClusterIP")"},
                           {R"("example.com")", R"("example.org")"},
                           {R"("http")", R"("web")"},
                           {"8080", "8081"},
                           {R"("UDP")", "null"},
                           {R"("9")", R"("10")"},
                           {R"("u1")", R"("u2")"}},
                          {{R"("192.0.2.1")", R"("192.0.2.2")"}, {R"("lb.)", R"("lc.)"}},
                          {{R"("17")", R"("18")"},
                           {R"("generation": 3)", R"("generation": 4)"},
                           {R"("ignored")", R"("still")"},
                           {"10.0.0.1", "10.0.0.2"}});
}

TEST(Service, Refuses) {
  ExpectRefusals(
      kFull,
      {{{R"("ExternalName")", "1"},
        "Service roots/kuard: spec.type: expected a string, got an integer"},
       {{R"("example.com")", "[]"},
        "Service roots/kuard: spec.externalName: expected a string, got a list"},
       {{"8080", R"("8080")"},
        "Service roots/kuard: spec.ports[1].port: expected an integer, got a string"},
       {{"8080", "80.0"},
        "Service roots/kuard: spec.ports[1].port: expected an integer, got a decimal number"},
       {{"8080", "65536"},
        "Service roots/kuard: spec.ports[1].port: expected an integer from 0 to 65535, got 65536"},
       {{"8080", "-1"},
        "Service roots/kuard: spec.ports[1].port: expected an integer from 0 to 65535, got -1"},
       {{R"("http")", "true"},
        "Service roots/kuard: spec.ports[0].name: expected a string, got a boolean"},
       {{R"({"ip": "192.0.2.1"})", "7"},
        "Service roots/kuard: status.loadBalancer.ingress[0]: expected an object, got an "
        "integer"}});
}

}  // namespace
}  // namespace contour::api
