// SPDX-License-Identifier: Apache-2.0

#include "base/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/status.h"

namespace contour {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Returns the JSON of each document, or the error.
std::vector<std::string> Convert(std::string_view text, const YamlLimits& limits = {}) {
  std::vector<std::string> documents;
  const absl::Status status =
      ForEachYamlDocument(text, [&](const YamlDocument& document) -> absl::Status {
        CONTOUR_ASSIGN_OR_RETURN(std::string json, document.ToJson(limits));
        documents.push_back(std::move(json));
        return absl::OkStatus();
      });
  if (!status.ok()) return {std::string(Message(status))};
  return documents;
}

std::string Scalar(const std::string& text) {
  const std::vector<std::string> documents = Convert("a: " + text + "\n");
  if (documents.size() != 1 || !documents[0].starts_with("{\"a\":")) {
    return "not one scalar: " + testing::PrintToString(documents);
  }
  return documents[0].substr(5, documents[0].size() - 6);
}

TEST(Yaml, CoreSchemaOfPlainScalars) {
  struct Case {
    const char* yaml;
    const char* json;
  };
  for (const Case& c : {
           Case{"", "null"},
           {"~", "null"},
           {"null", "null"},
           {"Null", "null"},
           {"NULL", "null"},
           {"nULL", "\"nULL\""},
           {"true", "true"},
           {"True", "true"},
           {"TRUE", "true"},
           {"false", "false"},
           {"FALSE", "false"},
           // These are booleans in YAML 1.1 only.
           {"yes", "\"yes\""},
           {"no", "\"no\""},
           {"on", "\"on\""},
           {"Off", "\"Off\""},
           {"y", "\"y\""},
           {"0", "0"},
           {"80", "80"},
           {"-7", "-7"},
           {"+7", "7"},
           {"-0", "0"},
           {"007", "7"},
           {"0o17", "15"},
           {"0x1F", "31"},
           {"0o8", "\"0o8\""},
           {"0xg", "\"0xg\""},
           {"-0x1", "\"-0x1\""},
           {"1_000", "\"1_000\""},
           {"1:30", "\"1:30\""},
           {"9223372036854775807", "9223372036854775807"},
           {"-9223372036854775808", "-9223372036854775808"},
           {"18446744073709551615", "18446744073709551615"},
           {"18446744073709551616", "1.8446744073709552e+19"},
           {"-9223372036854775809", "-9.223372036854776e+18"},
           {"80.0", "80.0"},
           {"1.5", "1.5"},
           {".5", "0.5"},
           {"5.", "5.0"},
           {"+1.5", "1.5"},
           {"-01.50", "-1.5"},
           {"1e3", "1000.0"},
           {"1E-2", "0.01"},
           {"1e", "\"1e\""},
           {".", "\".\""},
           {"-", "\"-\""},
           {"+.e1", "\"+.e1\""},
           {"1.2.3", "\"1.2.3\""},
           {"10.0.0.1", "\"10.0.0.1\""},
           {"1e999", "\"1e999\""},
           {".inf", "\".inf\""},
           {".nan", "\".nan\""},
           {"2019-09-26", "\"2019-09-26\""},
           {"2019-09-26T12:30:01Z", "\"2019-09-26T12:30:01Z\""},
           {"foo bar", "\"foo bar\""},
           {"\"80\"", "\"80\""},
           {"'true'", "\"true\""},
           {"\"\"", "\"\""},
           {"''", "\"\""},
           {"!!str 80", "\"80\""},
           {"!!int \"80\"", "80"},
           {"!!null \"\"", "null"},
           {"!other 80", "\"80\""},
           {R"("q\"b\\n\n\x01\u00e9")", R"("q\"b\\n\u000a\u0001é")"},
           {"|\n  one\n  two", R"("one\u000atwo\u000a")"},
           {">-\n  one\n  two", R"("one two")"},
           {"[1, [], {}, {b: }]", R"([1,[],{},{"b":null}])"},
       }) {
    // A lone dash starts a list, so it isn't permitted there.
    if (std::string_view(c.yaml) == "-") continue;
    EXPECT_EQ(Scalar(c.yaml), c.json) << c.yaml;
  }
}

TEST(Yaml, Documents) {
  EXPECT_THAT(Convert(""), Each("null"));
  EXPECT_THAT(Convert("# only a comment\n"), Each("null"));
  EXPECT_THAT(Convert("a: 1"), ElementsAre(R"({"a":1})"));
  EXPECT_THAT(Convert("a"), ElementsAre("\"a\""));
  EXPECT_THAT(Convert("a: 1\nport :\n"), ElementsAre(R"({"a":1,"port":null})"));
  EXPECT_THAT(Convert("a: 1\n? port\n"), ElementsAre(R"({"a":1,"port":null})"));
  EXPECT_THAT(Convert("a: |\n  b"), ElementsAre(R"({"a":"b"})"));
  EXPECT_THAT(Convert("a: |+\n  b\n\n"), ElementsAre(R"({"a":"b\u000a\u000a"})"));
  EXPECT_THAT(Convert("{a: 1, port}\n"), ElementsAre(R"({"a":1,"port":null})"));
  EXPECT_THAT(Convert("---\na: 1\n---\n---\n# empty\n---\n[b]\n...\n---\nc\n"),
              ElementsAre(R"({"a":1})", "null", "null", R"(["b"])", R"("c")"));
  EXPECT_THAT(Convert("%YAML 1.2\n---\na: 1\n"), ElementsAre(R"({"a":1})"));
  EXPECT_THAT(Convert("\xef\xbb\xbf"
                      "a: 1\r\nb: 2\r\n"),
              ElementsAre(R"({"a":1,"b":2})"));
  EXPECT_THAT(Convert(R"({"a": [true, "x"]})"), ElementsAre(R"({"a":[true,"x"]})"))
      << "JSON is YAML";
}

TEST(Yaml, AnchorsAliasesAndMergeKeys) {
  EXPECT_THAT(Convert("a: &x {p: 1, q: [2]}\nb: *x\n"),
              ElementsAre(R"({"a":{"p":1,"q":[2]},"b":{"p":1,"q":[2]}})"));
  EXPECT_THAT(Convert("a: &x 7\n*x : b\n"), ElementsAre(R"({"a":7,"7":"b"})"));
  EXPECT_THAT(Convert("a: &x {p: 1, q: 2}\nb: {q: 3, <<: *x, r: 4}\n"),
              ElementsAre(R"({"a":{"p":1,"q":2},"b":{"q":3,"r":4,"p":1}})"))
      << "own keys win";
  EXPECT_THAT(Convert("- &x {p: 1}\n- &y {p: 2, q: 2}\n- {<<: [*x, *y]}\n"),
              ElementsAre(R"([{"p":1},{"p":2,"q":2},{"p":1,"q":2}])"))
      << "the first of the list wins";
  EXPECT_THAT(Convert("- &x {p: 1}\n- &y {<<: *x, q: 2}\n- {<<: *y}\n"),
              ElementsAre(R"([{"p":1},{"q":2,"p":1},{"q":2,"p":1}])"));
  EXPECT_THAT(Convert("a: {\"<<\": 1}\n"), ElementsAre(R"({"a":{"<<":1}})"))
      << "quoted: a key like any";
  EXPECT_THAT(Convert("a: &x 1\n---\nb: *x\n"), ElementsAre(StartsWith("line 3, column 4: ")))
      << "an anchor lives as long as its document";
}

TEST(Yaml, Errors) {
  struct Case {
    const char* yaml;
    const char* error;
  };
  for (const Case& c : {
           Case{"a: 1\nb: 2\na: 3\n", "line 3, column 1: key \"a\" given twice"},
           {"x:\n  - {b: 1, \"b\": 2}\n", "line 2, column 12: key \"b\" given twice"},
           {"<<: {}\n<<: {}\n", "line 2, column 1: key \"<<\" given twice"},
           {"a: 1\n<<: 7\n", "line 2, column 5: expected a map, or a list of maps, to merge"},
           {"a: 1\n<<: [{}, 7]\n",
            "line 2, column 10: expected a map, or a list of maps, to merge"},
           {"a: 1\n? [b]\n: c\n", "line 2, column 3: expected a text as the key"},
           {"{~: 1}\n", "line 1, column 2: expected a text as the key"},
           {"a: &x\n  b: *x\n", "line 2, column 6: an alias of something that contains it"},
           {"a: &x [1, [*x]]\n", "line 1, column 12: an alias of something that contains it"},
           {",a: 1\n", "line 1, column 1: not YAML: expected a document"},
           {"[a],\n", "line 1, column 4: not YAML: expected a document"},
           {"a: 1\nport", "line 2, column 1: expected a colon behind the key"},
           {"a:\n  b: 1\n  port\n---\nc: 2\n", "line 3, column 3: expected a colon behind the key"},
           {"- a: 1\n  port\n- b\n", "line 2, column 3: expected a colon behind the key"},
           {"a: 1\nb: \x01\n", "line 2, column 4: control character 0x01"},
           {"a: 1\nb: \x04\nc: 2", "line 2, column 4: control character 0x04"},
           {"a: 1\nb: \xff\n", "line 2, column 1: not UTF-8"},
           {"a: \xc3\nb", "line 1, column 1: not UTF-8"},
       }) {
    EXPECT_THAT(Convert(c.yaml), ElementsAre(c.error)) << c.yaml;
  }
  // The parser's own message follows.
  for (const Case& c : {
           Case{"a: b: c\n", "line 1, column 5: not YAML: "},
           {"a: [1, 2\nb: 3\n", "line "},
           {"a: *nobody\n", "line 1, column 4: not YAML: "},
           {"a: 1\n\tb: 2\n", "line "},
           {"a: \"open", "line "},
           {"a: \"open\n", "line "},
           {"a: 'open\n  \n ", "line "},
           {"a: 1\n- b\n", "line 2, column 1: not YAML: "},
           {"kind: Service\n metadata: {}\n", "line 2, column 10: not YAML: "},
           {"a: @x\n", "line 1, column 4: not YAML: "},
           // Found by config_file_fuzz: the message had the character as it was.
           {"a: \"\\\r\"\n", "line 1, column 7: not YAML: \"unknown escape character: \\r\""},
       }) {
    EXPECT_THAT(Convert(c.yaml), ElementsAre(StartsWith(c.error))) << c.yaml;
  }
}

TEST(Yaml, LimitsTheExpansionOfAliases) {
  // "A billion laughs": nine levels of nine aliases each.
  std::string bomb = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n";
  for (int level = 1; level < 9; ++level) {
    bomb += "a" + std::to_string(level) + ": &a" + std::to_string(level) + " [";
    for (int i = 0; i < 9; ++i) bomb += (i == 0 ? "*a" : ", *a") + std::to_string(level - 1);
    bomb += "]\n";
  }
  EXPECT_THAT(Convert(bomb, {.max_json_bytes = 1'000'000}),
              ElementsAre(HasSubstr("with its aliases the document is larger than 1000000 bytes")));

  // Merging the same keys repeatedly writes nothing.
  std::string merges = "a: &a {";
  for (int i = 0; i < 1000; ++i) merges += "k" + std::to_string(i) + ": 1, ";
  merges += "}\nb: {<<: [*a";
  for (int i = 0; i < 10'000; ++i) merges += ", *a";
  merges += "]}\n";
  EXPECT_THAT(Convert(merges, {.max_json_bytes = 1'000'000}),
              ElementsAre(HasSubstr("is larger than")));

  // Each alias is deeper than the last.
  std::string deep = "a0: &a0 []\n";
  for (int i = 1; i < 200; ++i) {
    deep += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" + std::to_string(i - 1) +
            "]\n";
  }
  EXPECT_THAT(Convert(deep), ElementsAre("line 2, column 10: nested deeper than 100 levels"));
  EXPECT_THAT(Convert(std::string(100'000, '[')), ElementsAre(HasSubstr("nested too deeply")));
  EXPECT_THAT(Convert(std::string(100'000, '{')), ElementsAre(HasSubstr("nested too deeply")));
}

TEST(Yaml, FindsFields) {
  constexpr char kText[] =
      "base: &base\n"                           // 1
      "  port: 80\n"                            // 2
      "spec:\n"                                 // 3
      "  routes:\n"                             // 4
      "  - match: /\n"                          // 5
      "    services: [{name: a}, {name: b}]\n"  // 6
      "  - <<: *base\n"                         // 7
      "    \"a.b\": 1\n"                        // 8
      "  other: *base\n";                       // 9
  struct Case {
    const char* path;
    Position position;
  };
  for (const Case& c : {
           Case{"", {1, 1}},
           {"spec", {4, 3}},
           {"spec.routes[0].match", {5, 12}},
           {"spec.routes[0].services[1].name", {6, 34}},
           {"spec.routes[0].services[1].port", {6, 27}},  // absent: the map
           {"spec.routes[7].match", {5, 3}},              // absent: the list
           {"spec.routes[1].port", {2, 9}},               // merged: where it is written
           {"spec.routes[1][\"a.b\"]", {8, 12}},
           {"spec.other.port", {2, 9}},
           {"spec.other", {9, 10}},
           {"nothing.at.all", {1, 1}},
           {"spec[0]", {4, 3}},
       }) {
    bool visited = false;
    ASSERT_TRUE(ForEachYamlDocument(kText, [&](const YamlDocument& document) {
                  EXPECT_EQ(document.Find(c.path).line, c.position.line) << c.path;
                  EXPECT_EQ(document.Find(c.path).column, c.position.column) << c.path;
                  visited = true;
                  return absl::OkStatus();
                }).ok());
    EXPECT_TRUE(visited);
  }
}

TEST(Yaml, FindsKeys) {
  const absl::Status status =
      ForEachYamlDocument("a:\n  b:\n    - c: 1\nd:\n", [](const YamlDocument& document) {
        EXPECT_EQ(document.FindKey("a"), (Position{1, 1}));
        EXPECT_EQ(document.FindKey("a.b"), (Position{2, 3}));
        EXPECT_EQ(document.FindKey("a.b[0].c"), (Position{3, 7}));
        EXPECT_EQ(document.FindKey("a.b[0]"), document.Find("a.b[0]"));
        EXPECT_EQ(document.FindKey("d"), (Position{4, 1}));
        return absl::OkStatus();
      });
  EXPECT_TRUE(status.ok()) << Message(status);
}

TEST(Yaml, TheVisitorEndsIt) {
  int documents = 0;
  const absl::Status status =
      ForEachYamlDocument("a\n---\nb\n---\nc: [\n", [&](const YamlDocument&) {
        return ++documents == 2 ? absl::InternalError("enough") : absl::OkStatus();
      });
  EXPECT_EQ(Message(status), "enough");
  EXPECT_EQ(documents, 2);
}

}  // namespace
}  // namespace contour
