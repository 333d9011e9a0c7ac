// SPDX-License-Identifier: Apache-2.0

#include "file/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "api/ingress_route.h"
#include "api/secret.h"
#include "api/service.h"
#include "base/status.h"

namespace contour::file {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// Returns the names of the objects, or the error.
std::vector<std::string> Parse(std::string_view text, Format format = Format::kYaml) {
  const auto objects = ParseManifest(text, format);
  if (!objects.ok()) return {std::string(Message(objects.status()))};
  std::vector<std::string> names;
  for (const api::ObjectPtr& object : *objects) names.push_back(object->Ref().String());
  return names;
}

TEST(FormatOf, ByTheName) {
  EXPECT_EQ(FormatOf("a.yaml"), Format::kYaml);
  EXPECT_EQ(FormatOf("a.b.yml"), Format::kYaml);
  EXPECT_EQ(FormatOf("a.json"), Format::kJson);
  for (const char* name : {"", "a", "a.txt", ".a.yaml", "..data", "a.yaml~", "#a.yaml#", "#a.yaml",
                           ".a.yaml.swp", "a.yaml.swp", "a.yaml.tmp", "a.YAML", "yaml"}) {
    EXPECT_EQ(FormatOf(name), std::nullopt) << name;
  }
}

TEST(ParseManifest, Documents) {
  EXPECT_THAT(Parse(""), IsEmpty());
  EXPECT_THAT(Parse("# nothing\n---\n---\nnull\n"), IsEmpty());
  EXPECT_THAT(Parse(R"(
apiVersion: v1
kind: Service
metadata: {name: b, namespace: web}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ignored}
---
apiVersion: contour.heptio.com/v1beta1
kind: IngressRoute
metadata: {name: a}
spec:
  virtualhost: {fqdn: foo.com}
  routes: [{match: /, services: [{name: b, port: 80}]}]
)"),
              ElementsAre("Service web/b", "IngressRoute default/a"));
}

TEST(ParseManifest, Content) {
  const auto objects = ParseManifest(R"(
apiVersion: v1
kind: Secret
metadata:
  name: cert
  creationTimestamp: 2019-09-26T12:30:01Z
type: kubernetes.io/tls
data:
  tls.crt: |
    Y2Vy
    dA==
stringData:
  tls.key: |
    plain
)",
                                     Format::kYaml, "ns");
  ASSERT_TRUE(objects.ok()) << Message(objects.status());
  const auto* secret = api::As<api::Secret>((*objects)[0].get());
  ASSERT_NE(secret, nullptr);
  EXPECT_EQ(secret->meta.ns, "ns");
  EXPECT_EQ(secret->meta.creation_time, 1569501001);
  EXPECT_EQ(secret->tls_crt, "cert");
  EXPECT_EQ(secret->tls_key, "plain\n");
}

TEST(ParseManifest, Lists) {
  EXPECT_THAT(
      Parse(R"(
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Service, metadata: {name: a}}
- apiVersion: v1
  kind: ServiceList
  items:
  - metadata: {name: b}
  - {metadata: {name: c, namespace: n}}
- {apiVersion: v1, kind: Namespace, metadata: {name: n}}
---
{apiVersion: v1, kind: List}
---
{apiVersion: networking.k8s.io/v1, kind: IngressList, items: null}
---
{apiVersion: networking.k8s.io/v1, kind: IngressList, items: [{metadata: {name: i}}]}
)"),
      ElementsAre("Service default/a", "Service default/b", "Service n/c", "Ingress default/i"));
}

TEST(ParseManifest, Json) {
  EXPECT_THAT(
      Parse(R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"a"}})", Format::kJson),
      ElementsAre("Service default/a"));
  EXPECT_THAT(
      Parse("\xef\xbb\xbf"
            R"({"apiVersion":"v1","kind":"ServiceList","items":[{"metadata":{"name":"a"}}]})",
            Format::kJson),
      ElementsAre("Service default/a"));
}

TEST(ParseManifest, ErrorsNameLineAndColumn) {
  struct Case {
    const char* yaml;
    const char* error;
  };
  for (const Case& c : {
           Case{"apiVersion: v1\nkind: Service\nmetadata: {}\n",
                "line 3, column 11: Service: metadata.name: expected a name, got nothing"},
           {"foo: bar\n", "line 1, column 1: kind: expected the kind of the object, got nothing"},
           {"- foo\n", "line 1, column 1: expected an object with apiVersion, kind and metadata"},
           {"just text\n",
            "line 1, column 1: expected an object with apiVersion, kind and metadata"},
           {"apiVersion: v1\nkind: Service\nmetadata:\n  name: a\nspec:\n  ports:\n  - port: 80\n  "
            "- port: \"81\"\n",
            "line 8, column 11: Service default/a: spec.ports[1].port: expected an integer, got a "
            "string"},
           {"---\napiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: i}\n",
            "line 2, column 13: Ingress default/i: apiVersion: extensions/v1beta1 is not read, use "
            "networking.k8s.io/v1"},
           {"kind: List\napiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata:\n  "
            "  name: 7\n",
            "line 7, column 11: Service: metadata.name: expected a string, got an integer"},
           {"kind: ServiceList\napiVersion: v1\nitems: 7\n",
            "line 3, column 8: items: expected a list"},
           {"kind: List\napiVersion: v1\nitems: [null]\n",
            "line 3, column 9: expected an object with apiVersion, kind and metadata"},
           {"apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  name: b\n",
            "line 5, column 3: key \"name\" given twice"},
           {"apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  annotations:\n    "
            "contour.heptio.com/max-requests: 7\n",
            "line 6, column 38: Service default/a: "
            "metadata.annotations[\"contour.heptio.com/max-requests\"]: "
            "expected a string, got an integer"},
       }) {
    EXPECT_THAT(Parse(c.yaml), ElementsAre(c.error)) << c.yaml;
  }
  for (const Case& c : {
           Case{"{\n \"apiVersion\": \"v1\",\n \"kind\": \"Service\",\n \"metadata\": {\"name\": "
                "7}\n}",
                "line 4, column 23: Service: metadata.name: expected a string, got an integer"},
           {"{\"kind\": \"List\",\n \"apiVersion\": \"v1\", \"items\": [\n 7]}",
            "line 3, column 2: expected an object with apiVersion, kind and metadata"},
           {"{\"kind\": \"Service\",\n \"kind\": \"Service\"}",
            "line 2, column 2: key \"kind\" given twice"},
       }) {
    EXPECT_THAT(Parse(c.yaml, Format::kJson), ElementsAre(c.error)) << c.yaml;
  }
}

TEST(ParseManifest, ErrorsShowNoSecret) {
  const auto error = [](const char* data) {
    return Parse(
        std::string("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata:\n  tls.key: ") +
        data);
  };
  EXPECT_THAT(
      error("aGlkZGVu!\n"),
      ElementsAre("line 5, column 12: Secret default/s: data[\"tls.key\"]: expected base64"));
  for (const char* data : {"\"aGlkZGVu\" aGlkZGVu", "\"aGlkZGVu", "@aGlkZGVu", "aGlkZGVu: aGlkZGVu",
                           "\"\\z aGlkZGVu\"", "*aGlkZGVu\n", "[aGlkZGVu", "{aGlkZGVu: 1, "}) {
    const std::vector<std::string> message = error(data);
    ASSERT_EQ(message.size(), 1u);
    EXPECT_THAT(message[0], HasSubstr("line ")) << data;
    if (data[0] == '*') continue;  // the name of an alias is no data
    EXPECT_THAT(message[0], Not(HasSubstr("aGlkZGVu"))) << data;
  }
}

TEST(ParseManifest, GoodAsAWholeOrNotAtAll) {
  EXPECT_THAT(
      Parse("{apiVersion: v1, kind: Service, metadata: {name: a}}\n---\nkind: 7\napiVersion: v1\n"),
      ElementsAre("line 3, column 7: kind: expected a string, got an integer"));
}

}  // namespace
}  // namespace contour::file
