// SPDX-License-Identifier: Apache-2.0

#include "api/endpoint_slice.h"

#include "api/test_objects.h"

namespace contour::api {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kFull[] = R"({
  "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
  "metadata": {"name": "kuard-x7", "labels": {"kubernetes.io/service-name": "kuard", "a": "b"}},
  "addressType": "IPv4",
  "endpoints": [{"addresses": ["10.0.0.1", "10.0.0.2"], "zone": "z1", "nodeName": "n",
                 "conditions": {"ready": false, "serving": true, "terminating": true}},
                {"addresses": ["10.0.0.3"], "conditions": {"ready": null}}],
  "ports": [{"name": "http", "port": 8080, "protocol": "UDP"}, {"name": null, "port": null, "protocol": null}]
})";

TEST(EndpointSlice, ReadsEveryField) {
  const EndpointSlice slice = ParseAs<EndpointSlice>(kFull);
  EXPECT_EQ(slice.service_name, "kuard");
  EXPECT_EQ(slice.address_type, "IPv4");
  EXPECT_THAT(slice.endpoints,
              ElementsAre(Endpoint{{"10.0.0.1", "10.0.0.2"}, false, true, true, "z1"},
                          Endpoint{{"10.0.0.3"}, {}, {}, {}, ""}));
  EXPECT_THAT(slice.ports,
              ElementsAre(EndpointPort{"http", 8080, "UDP"}, EndpointPort{"", 0, "TCP"}));
}

TEST(EndpointSlice, NullListsAreEmpty) {
  const EndpointSlice slice = ParseAs<EndpointSlice>(R"({"apiVersion":"discovery.k8s.io/v1",
      "kind":"EndpointSlice","metadata":{"name":"a"},"addressType":"IPv6","endpoints":null,"ports":null})");
  EXPECT_THAT(slice.endpoints, IsEmpty());
  EXPECT_THAT(slice.ports, IsEmpty());
  EXPECT_EQ(slice.service_name, "");
}

TEST(EndpointSlice, Meaning) {
  ExpectMeanings<EndpointSlice>(kFull,
                                {{R"("kuard")", R"("other")"},
                                 {"IPv4", "FQDN"},
                                 {"10.0.0.2", "10.0.0.9"},
                                 {R"("ready": false)", R"("ready": true)"},
                                 {R"("serving": true)", R"("serving": null)"},
                                 {R"("terminating": true)", R"("terminating": false)"},
                                 {"z1", "z2"},
                                 {"8080", "8081"}},
                                {}, {{R"("n")", R"("m")"}, {R"("b")", R"("c")"}});
}

TEST(EndpointSlice, Refuses) {
  ExpectRefusals(
      kFull,
      {{{R"("kuard")", "5"},
        "EndpointSlice default/kuard-x7: metadata.labels[\"kubernetes.io/service-name\"]: "
        "expected a string, got an integer"},
       {{R"(["10.0.0.3"])", R"([null])"},
        "EndpointSlice default/kuard-x7: endpoints[1].addresses[0]: expected a string, got null"},
       {{R"(["10.0.0.3"])", R"("10.0.0.3")"},
        "EndpointSlice default/kuard-x7: endpoints[1].addresses: expected a list, got a string"},
       {{R"("ready": false)", R"("ready": "false")"},
        "EndpointSlice default/kuard-x7: endpoints[0].conditions.ready: expected true or false, "
        "got a string"},
       {{"8080", "99999999999999999999"}, "not JSON: Problem while parsing a number"}});
}

}  // namespace
}  // namespace contour::api
