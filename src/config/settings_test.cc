// SPDX-License-Identifier: Apache-2.0

#include "config/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <map>

#include "base/status.h"
#include "config/flags.h"

namespace contour::config {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

enum class Color { kRed, kBlue };

struct Values {
  bool loud = false;
  std::uint16_t port = 80;
  std::string name = "none";
  std::vector<std::string> hosts;
  milliseconds wait{1500};
  Color color = Color::kRed;
};

Settings Declare(Values& v) {
  Settings s;
  s.Group("All");
  s.Add(v.loud, {.flag = "loud", .short_flag = "l", .keys = {"loud"}, .environment = "LOUD"});
  s.Add(v.port, {.flag = "port",
                 .keys = {"port"},
                 .environment = "PORT",
                 .zero_is_default = true,
                 .minimum = 10});
  s.Add(v.name, {.flag = "name", .keys = {"name", "sur-name"}, .environment = "NAME"});
  s.Add(v.hosts, {.flag = "hosts"});
  s.Add(v.wait, {.flag = "wait"});
  s.Add(v.color, {{"red", Color::kRed}, {"blue", Color::kBlue}}, {.flag = "color"});
  return s;
}

// Parses the command line and resolves.
absl::Status Parse(Settings& settings, std::vector<std::string> arguments,
                   const FileValues& file = {}, std::map<std::string, std::string> variables = {}) {
  CLI::App app;
  const auto given = std::make_shared<GivenFlags>();
  AddFlags(settings, app, given);
  std::reverse(arguments.begin(), arguments.end());
  app.parse(arguments);
  return settings.Resolve({.file = &file,
                           .environment = [&](const char* name) -> std::optional<std::string> {
                             const auto found = variables.find(name);
                             if (found == variables.end()) return std::nullopt;
                             return found->second;
                           },
                           .flags = given.get()});
}

TEST(Settings, DefaultsAreWhatTheVariablesHeld) {
  Values v;
  Settings s = Declare(v);
  ASSERT_TRUE(Parse(s, {}).ok());
  EXPECT_EQ(v.port, 80);
  EXPECT_EQ(s.all()[1].source, Source::kDefault);
  EXPECT_EQ(s.all()[1].default_value, "80");
  EXPECT_EQ(s.all()[4].default_value, "1500ms");
  EXPECT_EQ(s.all()[5].default_value, "red");
}

TEST(Settings, FlagsOfAllKinds) {
  Values v;
  Settings s = Declare(v);
  const absl::Status status = Parse(s, {"-l", "--port=81", "--name", "", "--hosts", "a, b",
                                        "--hosts=c", "--wait=1m30s", "--color=blue"});
  ASSERT_TRUE(status.ok()) << Message(status);
  EXPECT_TRUE(v.loud);
  EXPECT_EQ(v.port, 81);
  EXPECT_EQ(v.name, "");
  EXPECT_THAT(v.hosts, testing::ElementsAre("a", "b", "c"));
  EXPECT_EQ(v.wait, milliseconds(90'000));
  EXPECT_EQ(v.color, Color::kBlue);
  EXPECT_EQ(s.all()[0].source, Source::kFlag);
}

TEST(Settings, FlagThenEnvironmentThenFileThenDefault) {
  struct Case {
    std::vector<std::string> flags;
    std::map<std::string, std::string> environment;
    FileValues file;
    const char* want;
    Source source;
  };
  const FileValues file = {{"name", "file", "f, line 1"}};
  for (const Case& c : {
           Case{{"--name=flag"}, {{"NAME", "environment"}}, file, "flag", Source::kFlag},
           Case{{}, {{"NAME", "environment"}}, file, "environment", Source::kEnvironment},
           Case{{}, {{"NAME", ""}}, file, "file", Source::kFile},
           Case{{}, {}, {}, "none", Source::kDefault},
       }) {
    Values v;
    Settings s = Declare(v);
    ASSERT_TRUE(Parse(s, c.flags, c.file, c.environment).ok());
    EXPECT_EQ(v.name, c.want);
    EXPECT_EQ(s.all()[2].source, c.source);
  }
}

TEST(Settings, ANegationWinsOverTheFile) {
  Values v;
  Settings s = Declare(v);
  ASSERT_TRUE(Parse(s, {"--no-loud"}, {{"loud", "true", "f, line 1"}}).ok());
  EXPECT_FALSE(v.loud);
}

TEST(Settings, TheLastOfAFlagCounts) {
  Values v;
  Settings s = Declare(v);
  ASSERT_TRUE(Parse(s, {"--loud", "--no-loud", "--port=81", "--port=82"}).ok());
  EXPECT_FALSE(v.loud);
  EXPECT_EQ(v.port, 82);
}

TEST(Settings, ZeroIsTheDefaultWhereDeclared) {
  Values v;
  Settings s = Declare(v);
  ASSERT_TRUE(Parse(s, {"--port=0"}).ok());
  EXPECT_EQ(v.port, 80);
}

TEST(Settings, Errors) {
  struct Case {
    std::vector<std::string> flags;
    std::map<std::string, std::string> environment;
    FileValues file;
    const char* want;
  };
  for (const Case& c : {
           Case{
               {"--port=http"}, {}, {}, "--port: expected a number from 10 to 65535, got \"http\""},
           Case{{"--port=9"}, {}, {}, "from 10 to 65535"},
           Case{{"--port=65536"}, {}, {}, "from 10 to 65535"},
           Case{{"--wait=90"}, {}, {}, "--wait: expected a duration like 15s or 1m30s, got \"90\""},
           Case{{"--wait=-1s"}, {}, {}, "--wait: expected a duration"},
           Case{{"--color=green"}, {}, {}, "--color: expected one of red, blue, got \"green\""},
           Case{{}, {{"LOUD", "yes"}}, {}, "environment variable LOUD: expected true or false"},
           Case{{}, {}, {{"port", "1", "f: line 7"}}, "f: line 7: port: expected a number"},
           Case{{},
                {},
                {{"name", "a", "f: line 1"}, {"sur-name", "b", "f: line 2"}},
                "f: line 2: sur-name: means the same as name (f: line 1), which says otherwise"},
           // A wrong value is reported even if another one wins.
           Case{{"--port=81"}, {}, {{"port", "1", "f: line 7"}}, "f: line 7: port"},
       }) {
    Values v;
    Settings s = Declare(v);
    const absl::Status status = Parse(s, c.flags, c.file, c.environment);
    EXPECT_FALSE(status.ok()) << c.want;
    EXPECT_THAT(std::string(Message(status)), HasSubstr(c.want));
  }
}

TEST(Settings, BothSpellingsWithOneValueAreFine) {
  Values v;
  Settings s = Declare(v);
  ASSERT_TRUE(Parse(s, {}, {{"name", "a", "f: line 1"}, {"sur-name", "a", "f: line 2"}}).ok());
  EXPECT_EQ(v.name, "a");
}

TEST(Settings, Differences) {
  Values before;
  Values after;
  Settings first = Declare(before);
  Settings second = Declare(after);
  EXPECT_TRUE(Differences(first, second).empty());
  after.port = 81;
  ASSERT_EQ(Differences(first, second).size(), 1u);
  EXPECT_EQ(Differences(first, second)[0]->Name(), "--port");
}

}  // namespace
}  // namespace contour::config
