// SPDX-License-Identifier: Apache-2.0

#include "api/endpoints.h"

#include "api/test_objects.h"

namespace contour::api {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kFull[] = R"({
  "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "kuard"},
  "subsets": [{"addresses": [{"ip": "10.0.0.1", "nodeName": "n"}, {"ip": "10.0.0.2"}],
               "notReadyAddresses": [{"ip": "10.0.0.3"}],
               "ports": [{"name": "http", "port": 8080, "protocol": "SCTP"}, {"port": 9}]},
              {"addresses": null}]
})";

TEST(Endpoints, ReadsEveryField) {
  const Endpoints endpoints = ParseAs<Endpoints>(kFull);
  ASSERT_EQ(endpoints.subsets.size(), 2u);
  EXPECT_THAT(endpoints.subsets[0].addresses, ElementsAre("10.0.0.1", "10.0.0.2"));
  EXPECT_THAT(endpoints.subsets[0].not_ready_addresses, ElementsAre("10.0.0.3"));
  EXPECT_THAT(endpoints.subsets[0].ports,
              ElementsAre(EndpointPort{"http", 8080, "SCTP"}, EndpointPort{"", 9, "TCP"}));
  EXPECT_EQ(endpoints.subsets[1], EndpointSubset());
}

TEST(Endpoints, WithoutSubsets) {
  EXPECT_THAT(
      ParseAs<Endpoints>(R"({"apiVersion":"v1","kind":"Endpoints","metadata":{"name":"a"}})")
          .subsets,
      IsEmpty());
}

TEST(Endpoints, Meaning) {
  ExpectMeanings<Endpoints>(kFull,
                            {{"10.0.0.1", "10.0.0.9"},
                             {"10.0.0.3", "10.0.0.9"},
                             {R"("http")", R"("web")"},
                             {"8080", "8081"},
                             {"SCTP", "TCP"}},
                            {}, {{R"("n")", R"("m")"}});
}

TEST(Endpoints, Refuses) {
  ExpectRefusals(
      kFull,
      {{{R"({"ip": "10.0.0.2"})", R"("10.0.0.2")"},
        "Endpoints default/kuard: subsets[0].addresses[1]: expected an object, got a string"},
       {{R"("10.0.0.3")", "{}"},
        "Endpoints default/kuard: subsets[0].notReadyAddresses[0].ip: expected a string, got an "
        "object"},
       {{"8080", "70000"},
        "Endpoints default/kuard: subsets[0].ports[0].port: expected an integer from 0 to 65535, "
        "got 70000"},
       {{R"({"addresses": null})", "null"},
        "Endpoints default/kuard: subsets[1]: expected an object, got null"}});
}

}  // namespace
}  // namespace contour::api
