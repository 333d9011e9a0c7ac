// SPDX-License-Identifier: Apache-2.0

#include "api/parse.h"

#include <simdjson.h>

#include "api/parse_element.h"
#include "api/service.h"
#include "api/test_objects.h"

namespace contour::api {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;
using ::testing::StartsWith;

std::string WithMeta(const std::string& meta) {
  return R"({"apiVersion":"v1","kind":"Service","metadata":)" + meta + "}";
}

TEST(Parse, Metadata) {
  const Meta meta = ParseAs<Service>(WithMeta(R"({"name":"kuard","namespace":"ns","uid":"u",
      "resourceVersion":"12","generation":7,"creationTimestamp":"2019-09-26T12:30:01Z",
      "annotations":{"projectcontour.io/b":"2","a":3,"kubernetes.io/ingress.class":"","contour.heptio.com/a":"1"},
      "managedFields":"anything"})"))
                        .meta;
  EXPECT_EQ(meta.ns, "ns");
  EXPECT_EQ(meta.name, "kuard");
  EXPECT_EQ(meta.uid, "u");
  EXPECT_EQ(meta.resource_version, "12");
  EXPECT_EQ(meta.generation, 7);
  EXPECT_EQ(meta.creation_time, 1569501001);
  EXPECT_THAT(meta.annotations, ElementsAre(Pair("contour.heptio.com/a", "1"),
                                            Pair("kubernetes.io/ingress.class", ""),
                                            Pair("projectcontour.io/b", "2")));
}

TEST(Parse, MetadataDefaults) {
  Parser parser;
  const auto parsed = parser.Parse(
      WithMeta(
          R"({"name":"a","namespace":"","creationTimestamp":null,"annotations":null,"labels":null})"),
      "web");
  ASSERT_TRUE(parsed.ok());
  const Meta& meta = parsed->object->meta;
  EXPECT_EQ(meta.ns, "web");
  EXPECT_EQ(meta.creation_time, 0);
  EXPECT_TRUE(meta.annotations.empty());
}

TEST(Parse, CreationTimestamp) {
  const auto seconds = [](const std::string& text) {
    return ParseAs<Service>(WithMeta(R"({"name":"a","creationTimestamp":")" + text + "\"}"))
        .meta.creation_time;
  };
  EXPECT_EQ(seconds("1970-01-01T00:00:01Z"), 1);
  EXPECT_EQ(seconds("2024-02-29T23:59:59.999Z"), 1709251199);
  EXPECT_EQ(seconds("2019-09-26T14:30:01+02:00"), 1569501001);
  for (const char* bad :
       {"", "yesterday", "infinite-past", "2019-09-26", "2019-02-30T00:00:00Z",
        " 2019-09-26T12:30:01Z", "2019-09-26T12:30:01Z ", "2019-09-26T12:30:01"}) {
    EXPECT_EQ(
        ErrorOf(WithMeta(R"({"name":"a","creationTimestamp":")" + std::string(bad) + "\"}")),
        "Service default/a: metadata.creationTimestamp: expected a time like 2006-01-02T15:04:05Z")
        << bad;
  }
}

TEST(Parse, Refuses) {
  struct Case {
    std::string json;
    std::string error;
  };
  for (const Case& c : std::vector<Case>{
           {"[]", "expected an object with apiVersion, kind and metadata"},
           {R"("text")", "expected an object with apiVersion, kind and metadata"},
           {"{}", "kind: expected the kind of the object, got nothing"},
           {R"({"kind":"Service"})",
            "Service: apiVersion: expected the version of the object's kind, got nothing"},
           {R"({"apiVersion":"v1","kind":null})",
            "kind: expected the kind of the object, got nothing"},
           {R"({"apiVersion":1,"kind":"Service"})",
            "apiVersion: expected a string, got an integer"},
           {R"({"apiVersion":"v1","kind":["Service"]})", "kind: expected a string, got a list"},
           {R"({"apiVersion":"v1","kind":"Service"})",
            "Service: metadata.name: expected a name, got nothing"},
           {WithMeta("{}"), "Service: metadata.name: expected a name, got nothing"},
           {WithMeta(R"({"name":""})"), "Service: metadata.name: expected a name, got nothing"},
           {WithMeta(R"({"name":7})"), "Service: metadata.name: expected a string, got an integer"},
           {WithMeta(R"({"name":"a/b"})"),
            "Service default/a/b: metadata.name: expected a name without / and %, got \"a/b\""},
           {WithMeta(R"({"name":"a","namespace":".."})"),
            "Service ../a: metadata.namespace: expected a name without / and %, got \"..\""},
           {WithMeta("[]"), "Service: metadata: expected an object, got a list"},
           {WithMeta(R"({"name":"a","generation":"1"})"),
            "Service default/a: metadata.generation: expected an integer, got a string"},
           {WithMeta(R"({"name":"a","annotations":[]})"),
            "Service default/a: metadata.annotations: expected an object, got a list"},
           {R"({"apiVersion":"v1beta1","kind":"Service","metadata":{"name":"a"}})",
            "Service default/a: apiVersion: v1beta1 is not read, use v1"},
       }) {
    EXPECT_EQ(ErrorOf(c.json), c.error) << c.json;
  }
  for (const char* text : {"", "{", R"({"a":1}x)", "\xff", R"({"kind":"\xff"})", "{'a':1}"}) {
    EXPECT_THAT(ErrorOf(text), StartsWith("not JSON: ")) << text;
  }
}

TEST(Parse, OtherKindsAreNoError) {
  Parser parser;
  for (
      const char* json :
      {R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":5}})",
       R"({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"a"}})",
       R"({"apiVersion":"serving.knative.dev/v1","kind":"Service","metadata":{"name":"a"}})",
       R"({"apiVersion":"traefik.io/v1alpha1","kind":"IngressRoute","metadata":{"name":"a"},"spec":{"routes":1}})"}) {
    const auto parsed = parser.Parse(json);
    ASSERT_TRUE(parsed.ok()) << json;
    EXPECT_EQ(parsed->object, nullptr) << json;
    EXPECT_NE(parsed->kind, "");
    EXPECT_NE(parsed->api_version, "");
  }
}

TEST(Parse, DescribesTheErrorInParts) {
  Parser parser;
  FieldError error;
  EXPECT_FALSE(
      parser
          .Parse(
              R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"a"},"spec":{"ports":[1]}})",
              "ns", &error)
          .ok());
  EXPECT_EQ(error.object, "Service ns/a");
  EXPECT_EQ(error.path, "spec.ports[0]");
  EXPECT_EQ(error.problem, "expected an object, got an integer");
  EXPECT_EQ(error.String(), "Service ns/a: spec.ports[0]: expected an object, got an integer");
}

TEST(Parse, UsableAfterAnError) {
  Parser parser;
  EXPECT_FALSE(parser.Parse("{").ok());
  EXPECT_TRUE(parser.Parse(WithMeta(R"({"name":"a"})")).ok());
}

TEST(ParseElement, ItemsMayOmitWhatTheyAre) {
  simdjson::dom::parser json;
  const simdjson::padded_string text(R"({"metadata":{"name":"a","namespace":"ns"}})", 42);
  simdjson::dom::element element;
  ASSERT_EQ(json.parse(text).get(element), simdjson::SUCCESS);
  const auto parsed = ParseElement(element, "default", nullptr, {"v1", "Service"});
  ASSERT_TRUE(parsed.ok()) << Message(parsed.status());
  EXPECT_EQ(parsed->kind, "Service");
  EXPECT_EQ(parsed->object->Ref(), (ObjectRef{Kind::kService, "ns", "a"}));
  EXPECT_FALSE(ParseElement(element).ok());
}

}  // namespace
}  // namespace contour::api
