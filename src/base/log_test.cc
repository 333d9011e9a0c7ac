// SPDX-License-Identifier: Apache-2.0

#include "base/log.h"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

namespace contour::log {
namespace {

TEST(Log, TextIsKeysAndValues) {
  EXPECT_EQ(FormatLine(Format::kText, "kube", "say \"hi\"\n",
                       {{"namespace", "default"},
                        {"empty", ""},
                        {"count", 3},
                        {"why", "a=b c"},
                        {"forged", "x\nlevel=error"}}),
            R"(msg="say \"hi\"\n" context=kube namespace=default empty="" count=3 why="a=b c" )"
            R"(forged="x\nlevel=error")");
}

TEST(Log, JsonIsOneObject) {
  const std::string line = FormatLine(Format::kJson, "kube", "say \"hi\"\n",
                                      {{"name", "ü\\"},
                                       {"count", 3},
                                       {"ratio", 0.5},
                                       {"bool", true},
                                       {"letter", 'a'},
                                       {"infinite", std::numeric_limits<double>::infinity()},
                                       {"digits", "3"},
                                       {"bytes", std::string("a\xff\0z", 4)}});
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const nlohmann::json json = nlohmann::json::parse("{" + line);
  EXPECT_EQ(json, nlohmann::json({{"msg", "say \"hi\"\n"},
                                  {"context", "kube"},
                                  {"name", "ü\\"},
                                  {"count", 3},
                                  {"ratio", 0.5},
                                  {"bool", true},
                                  {"letter", "a"},
                                  {"infinite", "inf"},
                                  {"digits", "3"},
                                  {"bytes", std::string("a\xef\xbf\xbd\0z", 6)}}));
}

TEST(Log, LevelsHaveNames) {
  for (const Level level : {Level::kDebug, Level::kInfo, Level::kWarning, Level::kError})
    EXPECT_EQ(ParseLevel(LevelName(level)), level);
  EXPECT_EQ(ParseLevel("trace"), std::nullopt);
}

TEST(Log, DropsWhatIsBelowTheLevel) {
  const Level before = GetLevel();
  SetLevel(Level::kWarning);
  ::testing::internal::CaptureStderr();
  Info("test", "quiet");
  Warning("test", "loud");
  const std::string text = ::testing::internal::GetCapturedStderr();
  SetLevel(before);
  EXPECT_EQ(text.find("quiet"), std::string::npos);
  EXPECT_NE(text.find("level=warning msg=\"loud\" context=test\n"), std::string::npos) << text;
}

}  // namespace
}  // namespace contour::log
