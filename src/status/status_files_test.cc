// SPDX-License-Identifier: Apache-2.0

#include "status/status_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "graph/kinds/ingressroute/status.h"

namespace contour::status {
namespace {

namespace fs = std::filesystem;

class StatusFilesTest : public ::testing::Test {
 protected:
  StatusFilesTest() { fs::create_directories(directory_); }
  ~StatusFilesTest() override { fs::remove_all(directory_); }

  static std::string Read(const fs::path& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }

  const fs::path directory_ = fs::path(::testing::TempDir()) /
                              ::testing::UnitTest::GetInstance()->current_test_info()->name();
  const StatusFiles files_{directory_};
};

TEST_F(StatusFilesTest, WritesReplacesAndRemoves) {
  const api::ObjectRef ref{api::Kind::kIngressRoute, "default", "root"};
  const fs::path path = directory_ / "ingressroute" / "default" / "root.yaml";
  ASSERT_TRUE(
      files_.Write(ref, graph::ingressroute::MakeStatus("valid", "valid IngressRoute", "foo.com"))
          .ok());
  EXPECT_THAT(Read(path), ::testing::HasSubstr(
                              "currentStatus: valid\n  description: \"valid IngressRoute\"\n"));
  ASSERT_TRUE(
      files_.Write(ref, graph::ingressroute::MakeStatus("invalid", "route \"/\": x", "")).ok());
  EXPECT_THAT(Read(path), ::testing::HasSubstr("description: \"route \\\"/\\\": x\"\n"));
  ASSERT_TRUE(files_.Write(ref, std::nullopt).ok());
  EXPECT_FALSE(fs::exists(path));
  EXPECT_TRUE(files_.Write(ref, std::nullopt).ok()) << "removing twice is no error";
}

TEST_F(StatusFilesTest, NamesDoNotLeaveTheFolder) {
  for (const char* name : {"../../x", "..", ".", "", "a/b", ".hidden"}) {
    const api::ObjectRef ref{api::Kind::kIngressRoute, name, name};
    ASSERT_TRUE(files_.Write(ref, graph::ingressroute::MakeStatus("valid", "", "")).ok()) << name;
    const fs::path relative =
        fs::weakly_canonical(files_.PathOf(ref)).lexically_relative(fs::canonical(directory_));
    EXPECT_EQ(std::distance(relative.begin(), relative.end()), 3) << name << " → " << relative;
    EXPECT_NE(*relative.begin(), "..");
  }
}

TEST_F(StatusFilesTest, SaysWhatCannotBeWritten) {
  std::ofstream(directory_ / "ingressroute") << "a file where a folder is needed";
  const absl::Status status = files_.Write({api::Kind::kIngressRoute, "default", "root"},
                                           graph::ingressroute::MakeStatus("valid", "", ""));
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(status.ToString(), ::testing::HasSubstr("ingressroute"));
}

}  // namespace
}  // namespace contour::status
