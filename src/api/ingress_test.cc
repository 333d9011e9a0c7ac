// SPDX-License-Identifier: Apache-2.0

#include "api/ingress.h"

#include "api/test_objects.h"

namespace contour::api {
namespace {

using ::testing::ElementsAre;

constexpr char kFull[] = R"({
  "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
  "metadata": {"name": "web", "annotations": {"kubernetes.io/ingress.class": "contour"}},
  "spec": {
    "ingressClassName": "internal",
    "defaultBackend": {"service": {"name": "fallback", "port": {"number": 81}}},
    "tls": [{"hosts": ["a.example.com", "b.example.com"], "secretName": "cert"}, {}],
    "rules": [
      {"host": "a.example.com", "http": {"paths": [
        {"path": "/a", "pathType": "Prefix", "backend": {"service": {"name": "sa", "port": {"number": 8080}}}},
        {"path": "/b", "pathType": "Exact", "backend": {"service": {"name": "sb", "port": {"name": "http"}}}},
        {"pathType": "ImplementationSpecific", "backend": {"resource": {"kind": "Bucket", "name": "x"}}},
        {"path": "/d"}]}},
      {"http": {"paths": []}},
      {"host": "c.example.com"}]},
  "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
})";

TEST(Ingress, ReadsEveryField) {
  const Ingress ingress = ParseAs<Ingress>(kFull);
  EXPECT_EQ(*ingress.meta.FindAnnotation("kubernetes.io/ingress.class"), "contour");
  EXPECT_EQ(ingress.spec.ingress_class_name, "internal");
  EXPECT_EQ(ingress.spec.default_backend, (IngressBackend{"fallback", 81, ""}));
  EXPECT_THAT(ingress.spec.tls,
              ElementsAre(IngressTLS{{"a.example.com", "b.example.com"}, "cert"}, IngressTLS{}));
  ASSERT_EQ(ingress.spec.rules.size(), 3u);
  EXPECT_EQ(ingress.spec.rules[0].host, "a.example.com");
  EXPECT_THAT(*ingress.spec.rules[0].http,
              ElementsAre(IngressPath{"/a", PathType::kPrefix, {"sa", 8080, ""}},
                          IngressPath{"/b", PathType::kExact, {"sb", 0, "http"}},
                          IngressPath{"", PathType::kImplementationSpecific, {}},
                          IngressPath{"/d", PathType::kImplementationSpecific, {}}));
  EXPECT_EQ(ingress.spec.rules[1], (IngressRule{"", std::vector<IngressPath>{}}));
  EXPECT_EQ(ingress.spec.rules[2], (IngressRule{"c.example.com", std::nullopt}));
  EXPECT_THAT(ingress.load_balancer, ElementsAre(LoadBalancerIngress{"192.0.2.1", ""}));
}

TEST(Ingress, WithoutSpec) {
  const Ingress ingress = ParseAs<Ingress>(
      R"({"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"name":"a"}})");
  EXPECT_EQ(ingress.spec, IngressSpec());
}

TEST(Ingress, Meaning) {
  ExpectMeanings<Ingress>(kFull,
                          {{R"("internal")", R"("")"},
                           {R"("internal")", "null"},
                           {R"("contour")", R"("other")"},
                           {R"("fallback")", R"("other")"},
                           {"81}", "82}"},
                           {R"("b.example.com")", R"("x.example.com")"},
                           {R"("cert")", R"("tree")"},
                           {"c.example.com", "d.example.com"},
                           {R"("/d")", R"("/e")"},
                           {R"("Exact")", R"("Prefix")"},
                           {R"({"name": "http"})", R"({"name": "web"})"},
                           {R"({"paths": []})", "null"}},
                          {{"192.0.2.1", "192.0.2.2"}}, {{"Bucket", "Pail"}});
}

TEST(Ingress, Refuses) {
  ExpectRefusals(
      kFull,
      {{{R"("Exact")", R"("Regex")"},
        "Ingress default/web: spec.rules[0].http.paths[1].pathType: expected Exact, Prefix or "
        "ImplementationSpecific, got \"Regex\""},
       {{"8080", R"("8080")"},
        "Ingress default/web: spec.rules[0].http.paths[0].backend.service.port.number: expected an "
        "integer, "
        "got a string"},
       {{R"({"number": 8080})", "8080"},
        "Ingress default/web: spec.rules[0].http.paths[0].backend.service.port: expected an "
        "object, got an "
        "integer"},
       {{R"({"number": 81})", R"({"name": 81})"},
        "Ingress default/web: spec.defaultBackend.service.port.name: expected a string, got an "
        "integer"},
       {{R"(["a.example.com", "b.example.com"])", R"(["a.example.com", 7])"},
        "Ingress default/web: spec.tls[0].hosts[1]: expected a string, got an integer"},
       {{R"("contour")", "true"},
        "Ingress default/web: metadata.annotations[\"kubernetes.io/ingress.class\"]: expected a "
        "string, got a "
        "boolean"},
       {{"networking.k8s.io/v1", "extensions/v1beta1"},
        "Ingress default/web: apiVersion: extensions/v1beta1 is not read, use "
        "networking.k8s.io/v1"},
       {{"networking.k8s.io/v1", "networking.k8s.io/v1beta1"},
        "Ingress default/web: apiVersion: networking.k8s.io/v1beta1 is not read, use "
        "networking.k8s.io/v1"}});
}

}  // namespace
}  // namespace contour::api
