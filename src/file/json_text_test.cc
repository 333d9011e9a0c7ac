// SPDX-License-Identifier: Apache-2.0

#include "file/json_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/status.h"

namespace contour::file {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string Text(Position position) {
  return std::to_string(position.line) + ":" + std::to_string(position.column);
}

TEST(JsonSyntaxError, NamesThePlaceAndQuotesNothing) {
  struct Case {
    const char* json;
    const char* error;
  };
  for (const Case& c : {
           Case{"{\n  \"a\": 1,\n}",
                "line 3, column 1: not JSON: syntax error while parsing object key"},
           {"[1,\n 2", "line 2, column 3: not JSON: "},
           {"{\"a\": tru}", "line 1, column 10: not JSON: "},
           {"", "line 1, column 1: not JSON: "},
           {"{\"a\":\n \"\x01\"}", "line 2, column 3: control character 0x01"},
           {"{\"a\":\n \"\xff\"}", "line 2, column 1: not UTF-8"},
           // This is valid JSON that simdjson can't parse.
           {"[123456789012345678901234567890]", "line 1, column 1: not JSON: reason"},
       }) {
    EXPECT_THAT(std::string(Message(JsonSyntaxError(c.json, "reason"))), StartsWith(c.error))
        << c.json;
  }
  EXPECT_THAT(std::string(Message(JsonSyntaxError(R"({"tls.key": "hidden" "hidden"})", "reason"))),
              Not(HasSubstr("hidden")));
}

TEST(FindInJson, Table) {
  constexpr char kText[] =
      "  {\"kind\": \"List\",\n"                               // 1
      "   \"items\": [\n"                                      // 2
      "     {\"a\": {}, \"b\": [], \"c\\\"d\": \"}\\\"]\",\n"  // 3
      "      \"spec\" : {\"x.y\": [1, -2.5e3 ,null]}},\n"      // 4
      "     true ]\n"                                          // 5
      "  }\n";
  struct Case {
    const char* path;
    const char* position;
  };
  for (const Case& c : {
           Case{"", "1:3"},
           {"kind", "1:12"},
           {"items", "2:13"},
           {"items[0]", "3:6"},
           {"items[0].b", "3:21"},
           {"items[0].spec", "4:16"},
           {"items[0].spec[\"x.y\"]", "4:24"},
           {"items[0].spec[\"x.y\"][1]", "4:28"},
           {"items[0].spec[\"x.y\"][2]", "4:36"},
           {"items[0].spec[\"x.y\"][3]", "4:24"},
           {"items[1]", "5:6"},
           {"items[1].a", "5:6"},
           {"items[0].missing", "3:6"},
           {"metadata.name", "1:3"},
       }) {
    EXPECT_EQ(Text(FindInJson(kText, c.path)), c.position) << c.path;
  }
}

TEST(CheckDuplicateKeys, Table) {
  for (const char* json :
       {"1", "\"a\"", "{}", "[]", "[[],[[]],{}]", R"({"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]})",
        " [ 1 , { \"x\" : [ ] , \"y\" : { } } ] ", R"(["a","a"])"}) {
    EXPECT_TRUE(CheckDuplicateKeys(json).ok()) << json;
  }
  EXPECT_EQ(Message(CheckDuplicateKeys("{\"a\":1,\n\"b\":2,\n \"a\":3}")),
            "line 3, column 2: key \"a\" given twice");
  EXPECT_EQ(Message(CheckDuplicateKeys(R"([0,{"x":{"b":[{}],"c":1,"b":2}}])")),
            "line 1, column 25: key \"b\" given twice");
}

}  // namespace
}  // namespace contour::file
