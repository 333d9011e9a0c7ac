// SPDX-License-Identifier: Apache-2.0

#include "config/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/status.h"

namespace contour::config {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Values {
  bool in_cluster = false;
  std::uint16_t port = 80;
  std::string version = "1.2";
  std::string name;
  std::vector<std::string> hosts;
};

Settings Declare(Values& v) {
  Settings s;
  s.Add(v.in_cluster, {.keys = {"incluster"}});
  s.Add(v.port, {.keys = {"port"}});
  s.Add(v.version, {{"1.2", "1.2"}, {"1.3", "1.3"}}, {.keys = {"tls.minimumProtocolVersion"}});
  s.Add(v.name, {.keys = {"leaderelection.lease-name"}});
  s.Add(v.hosts, {.keys = {"hosts"}});
  return s;
}

absl::Status Load(const std::string& text, Values* values) {
  Settings settings = Declare(*values);
  CONTOUR_ASSIGN_OR_RETURN(const FileValues file, ParseFile("c.yaml", text, settings));
  return settings.Resolve({.file = &file});
}

TEST(ConfigFile, Values) {
  for (const char* text : {
           "incluster: true\nport: 81\ntls:\n  minimumProtocolVersion: 1.3\n"
           "leaderelection:\n  lease-name: lock\nhosts: [a, b]\n",
           "incluster: true\nport: 81\ntls:\n  minimumProtocolVersion: \"1.3\"\n"
           "leaderelection:\n  lease-name: lock\nhosts: a, b\n",
           R"({"incluster": true, "port": 81, "tls": {"minimumProtocolVersion": "1.3"},
               "leaderelection": {"lease-name": "lock"}, "hosts": ["a", "b"]})",
           "---\nincluster: true\nport: 81\ntls: {minimumProtocolVersion: '1.3'}\n"
           "leaderelection: {lease-name: lock}\nhosts:\n- a\n- b\n...\n",
       }) {
    Values v;
    const absl::Status status = Load(text, &v);
    ASSERT_TRUE(status.ok()) << Message(status);
    EXPECT_TRUE(v.in_cluster);
    EXPECT_EQ(v.port, 81);
    EXPECT_EQ(v.version, "1.3");
    EXPECT_EQ(v.name, "lock");
    EXPECT_THAT(v.hosts, testing::ElementsAre("a", "b"));
  }
}

TEST(ConfigFile, ItemsOfAListMayHoldCommas) {
  Values v;
  ASSERT_TRUE(Load("hosts: ['a,b', c]\n", &v).ok());
  EXPECT_THAT(v.hosts, testing::ElementsAre("a,b", "c"));
  ASSERT_TRUE(Load("hosts: ['a,b']\n", &v).ok());
  EXPECT_THAT(v.hosts, testing::ElementsAre("a,b"));
  ASSERT_TRUE(Load("hosts: []\n", &v).ok());
  EXPECT_TRUE(v.hosts.empty());
}

TEST(ConfigFile, NullIsAbsent) {
  for (const char* text : {"", "# only a comment\n", "---\n", "null\n", "tls:\n", "tls: ~\n",
                           "incluster:\n", "tls:\n  minimumProtocolVersion:\n", "---\n---\n"}) {
    Values v;
    const absl::Status status = Load(text, &v);
    EXPECT_TRUE(status.ok()) << text << Message(status);
    EXPECT_EQ(v.version, "1.2");
  }
}

TEST(ConfigFile, Errors) {
  struct Case {
    const char* text;
    const char* want;
  };
  for (const Case& c : {
           // Unknown keys.
           Case{"incluser: true\n",
                "c.yaml: line 1, column 1: incluser: unknown key, expected one of incluster, port, "
                "tls, leaderelection, hosts; the nearest known one is incluster"},
           {"port: 81\ntls:\n  minimumProtocolVersoin: \"1.2\"\n",
            "c.yaml: line 3, column 3: tls.minimumProtocolVersoin: unknown key, expected one of "
            "minimumProtocolVersion; the nearest known one is tls.minimumProtocolVersion"},
           {"tls:\n  lease-name: x\n", "the nearest known one is leaderelection.lease-name"},
           {"lease-name: x\n", "the nearest known one is leaderelection.lease-name"},
           {"tls.minimumProtocolVersion: \"1.2\"\n", "write minimumProtocolVersion below tls:"},
           {"something-else-altogether: 1\n", "unknown key, expected one of incluster"},
           {"incluster:\n  deeper: 1\n", "incluster: expected true or false, got a section"},
           // Keys are case-sensitive.
           {"inCluster: true\n", "the nearest known one is incluster"},
           {"\"a b\\n\": 1\n", "unknown key"},
           {"\"\": 1\n", "unknown key"},
           // Types.
           {"incluster: \"true\"\n", "incluster: expected true or false, got the text \"true\""},
           {"incluster: yes\n", "incluster: expected true or false, got the text \"yes\""},
           {"incluster: 1\n", "expected true or false, got 1"},
           {"port: \"81\"\n", "port: expected a number from 0 to 65535, got the text \"81\""},
           {"port: 81.5\n", "got 81.5"},
           {"\nport: 65536\n", "c.yaml: line 2, column 1: port: expected a number from 0 to 65535"},
           {"leaderelection:\n  lease-name: 1\n", "lease-name: expected a text, got 1"},
           {"hosts: [1]\n", "hosts: expected a list, or a text with commas, got a list"},
           {"tls: 1.2\n", "tls: expected a section with minimumProtocolVersion, got 1.2"},
           {"tls: []\n", "expected a section with minimumProtocolVersion, got a list"},
           // Values.
           {"tls:\n  minimumProtocolVersion: 1.4\n",
            "c.yaml: line 2, column 3: tls.minimumProtocolVersion: expected one of 1.2, 1.3, got "
            "\"1.4\""},
           // These are not valid YAML, or not a map.
           {"incluster: true\nincluster: true\n",
            "c.yaml: line 2, column 1: key \"incluster\" given"},
           {"incluster: true\nport\n", "c.yaml: line 2, column 1: expected a colon behind the key"},
           {"incluster: \"true\n", "c.yaml: line"},
           {",", "not YAML"},
           {"incluster: true\n  port: 1\n", "c.yaml: line 2"},
           {"- incluster\n", "expected a map of settings"},
           {"text\n", "expected a map of settings"},
           {"incluster: true\n---\nport: 1\n", "a second document; expected only one"},
           {"incluster: true\xff\n", "not UTF-8"},
       }) {
    Values v;
    const absl::Status status = Load(c.text, &v);
    EXPECT_FALSE(status.ok()) << c.text;
    EXPECT_THAT(std::string(Message(status)), HasSubstr(c.want)) << c.text;
    EXPECT_THAT(std::string(Message(status)), StartsWith("c.yaml: ")) << c.text;
  }
}

// Found by config_file_fuzz: the message had the key as it was.
TEST(ConfigFile, ReportsAKeyWithLineEndsInOneLine) {
  Values v;
  EXPECT_THAT(std::string(Message(Load("{\"por\\nt\\r\\x7f\": 1}", &v))),
              StartsWith("c.yaml: line 1, column 2: \"por\\nt\\r\\x7f\": unknown key, expected"));
}

TEST(ConfigFile, CannotBeRead) {
  EXPECT_EQ(Message(ReadText("/nowhere/contour.yaml").status()),
            "path '/nowhere/contour.yaml' does not exist");
  EXPECT_FALSE(ReadText(::testing::TempDir()).ok());
}

}  // namespace
}  // namespace contour::config
