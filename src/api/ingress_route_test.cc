// SPDX-License-Identifier: Apache-2.0

#include "api/ingress_route.h"

#include "api/test_objects.h"

namespace contour::api {
namespace {

constexpr char kFull[] = R"({
  "apiVersion": "contour.heptio.com/v1beta1", "kind": "IngressRoute",
  "metadata": {"name": "root", "generation": 1},
  "spec": {
    "virtualhost": {"fqdn": "foo.com",
      "tls": {"secretName": "ns/cert", "minimumProtocolVersion": "1.3", "passthrough": true}},
    "routes": [
      {"match": "/", "enableWebsockets": true, "permitInsecure": true, "prefixRewrite": "/x",
       "timeoutPolicy": {"request": "10s"}, "retryPolicy": {"count": 2, "perTryTimeout": "3s"},
       "services": [
         {"name": "s1", "port": 80, "weight": 30, "strategy": "Random",
          "healthCheck": {"path": "/healthy", "host": "h", "intervalSeconds": 11, "timeoutSeconds": 12,
                          "unhealthyThresholdCount": 13, "healthyThresholdCount": 14},
          "validation": {"caSecret": "ca", "subjectName": "sub"}},
         {"name": "s2", "port": 8080}]},
      {"match": "/blog", "delegate": {"name": "blog", "namespace": "marketing"}},
      {"timeoutPolicy": {}}],
    "tcpproxy": {"services": [{"name": "s3", "port": 443}], "delegate": {"name": "tcp"}},
    "strategy": "ignored"},
  "status": {"currentStatus": "valid", "description": "valid IngressRoute"}
})";

TEST(IngressRoute, ReadsEveryField) {
  const IngressRoute route = ParseAs<IngressRoute>(kFull);
  const IngressRouteVirtualHost host = {"foo.com", IngressRouteTLS{"ns/cert", "1.3", true}};
  EXPECT_EQ(route.spec.virtualhost, host);

  ASSERT_TRUE(route.spec.routes);
  ASSERT_EQ(route.spec.routes->size(), 3u);
  IngressRouteRoute first;
  first.match = "/";
  first.enable_websockets = true;
  first.permit_insecure = true;
  first.prefix_rewrite = "/x";
  first.timeout_request = "10s";
  first.retry_policy = {2, "3s"};
  first.services = {
      {"s1", 80, 30, "Random", IngressRouteHealthCheck{"/healthy", "h", 11, 12, 13, 14},
       IngressRouteUpstreamValidation{"ca", "sub"}},
      {"s2", 8080, 0, "", {}, {}}};
  EXPECT_EQ((*route.spec.routes)[0], first);
  IngressRouteRoute second;
  second.match = "/blog";
  second.delegate = {"blog", "marketing"};
  EXPECT_EQ((*route.spec.routes)[1], second);
  EXPECT_EQ((*route.spec.routes)[2].timeout_request, "") << "present, nothing said";

  ASSERT_TRUE(route.spec.tcpproxy);
  const IngressRouteTCPProxy proxy = {{{"s3", 443, 0, "", {}, {}}},
                                      IngressRouteDelegate{"tcp", ""}};
  EXPECT_EQ(route.spec.tcpproxy, proxy);
  EXPECT_EQ(route.status, (IngressRouteStatus{"valid", "valid IngressRoute"}));
}

TEST(IngressRoute, RoutesAbsentNullAndEmptyDiffer) {
  const std::string head =
      R"({"apiVersion":"contour.heptio.com/v1beta1","kind":"IngressRoute","metadata":{"name":"a"})";
  EXPECT_FALSE(ParseAs<IngressRoute>(head + R"(,"spec":{}})").spec.routes);
  EXPECT_FALSE(ParseAs<IngressRoute>(head + R"(,"spec":{"routes":null}})").spec.routes);
  const IngressRoute empty = ParseAs<IngressRoute>(head + R"(,"spec":{"routes":[]}})");
  ASSERT_TRUE(empty.spec.routes);
  EXPECT_TRUE(empty.spec.routes->empty());
  EXPECT_EQ(ParseAs<IngressRoute>(head + "}").spec, IngressRouteSpec());
}

TEST(IngressRoute, AcceptsNegativeNumbersWhichTheGraphChecks) {
  const IngressRoute route =
      ParseAs<IngressRoute>(Edited(kFull, {R"("port": 8080)", R"("port": -1)"}));
  EXPECT_EQ((*route.spec.routes)[0].services[1].port, -1);
}

TEST(IngressRoute, Meaning) {
  ExpectMeanings<IngressRoute>(
      kFull,
      {{"foo.com", "bar.com"},
       {"ns/cert", "cert"},
       {R"("1.3")", R"("1.2")"},
       {R"("passthrough": true)", R"("passthrough": false)"},
       {R"("match": "/",)", R"("match": "/a",)"},
       {R"("enableWebsockets": true)", R"("enableWebsockets": false)"},
       {R"("permitInsecure": true)", R"("permitInsecure": null)"},
       {R"("/x")", R"("/y")"},
       {"10s", "11s"},
       {R"({"request": "10s"})", "null"},
       {R"("count": 2)", R"("count": 3)"},
       {"3s", "4s"},
       {R"("s1")", R"("s9")"},
       {"8080", "8081"},
       {"30", "31"},
       {R"("Random")", R"("Cookie")"},
       {"/healthy", "/ok"},
       {R"("h")", R"("g")"},
       {"11", "21"},
       {"12", "22"},
       {"13,", "23,"},
       {"14", "24"},
       {R"("ca")", R"("cb")"},
       {R"("sub")", R"("suc")"},
       {R"("blog")", R"("clog")"},
       {"marketing", "sales"},
       {R"("timeoutPolicy": {})", R"("timeoutPolicy": null)"},
       {R"("s3")", R"("s4")"},
       {R"("tcp")", R"("udp")"}},
      {{R"("valid")", R"("invalid")"}, {"valid IngressRoute", "other"}},
      {{R"("generation": 1)", R"("generation": 2)"}, {"ignored", "still ignored"}});
}

TEST(IngressRoute, Refuses) {
  const std::string service = "IngressRoute default/root: spec.routes[0].services[0]";
  ExpectRefusals(
      kFull,
      {{{R"("foo.com")", "1"},
        "IngressRoute default/root: spec.virtualhost.fqdn: expected a string, got an integer"},
       {{R"("1.3")", "1.3"},
        "IngressRoute default/root: spec.virtualhost.tls.minimumProtocolVersion: expected a "
        "string, got a decimal number"},
       {{R"("passthrough": true)", R"("passthrough": "true")"},
        "IngressRoute default/root: spec.virtualhost.tls.passthrough: expected true or false, got "
        "a string"},
       {{R"("port": 80,)", R"("port": "80",)"},
        service + ".port: expected an integer, got a string"},
       {{R"("port": 80,)", R"("port": 9223372036854775808,)"},
        service +
            ".port: expected an integer from -9223372036854775808 to 9223372036854775807, got "
            "9223372036854775808"},
       {{R"("weight": 30)", R"("weight": 30.0)"},
        service + ".weight: expected an integer, got a decimal number"},
       {{"11", "true"},
        service + ".healthCheck.intervalSeconds: expected an integer, got a boolean"},
       {{R"({"caSecret": "ca", "subjectName": "sub"})", R"("ca")"},
        service + ".validation: expected an object, got a string"},
       {{R"("10s")", "10"},
        "IngressRoute default/root: spec.routes[0].timeoutPolicy.request: expected a string, got "
        "an integer"},
       {{R"({"name": "blog", "namespace": "marketing"})", R"(["blog"])"},
        "IngressRoute default/root: spec.routes[1].delegate: expected an object, got a list"},
       {{R"("tcp")", "[]"},
        "IngressRoute default/root: spec.tcpproxy.delegate.name: expected a string, got a list"},
       {{R"("valid")", "1"},
        "IngressRoute default/root: status.currentStatus: expected a string, got an integer"},
       {{"contour.heptio.com/v1beta1", "contour.heptio.com/v1"},
        "IngressRoute default/root: apiVersion: contour.heptio.com/v1 is not read, use "
        "contour.heptio.com/v1beta1"}});
}

}  // namespace
}  // namespace contour::api
