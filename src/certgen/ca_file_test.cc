// SPDX-License-Identifier: Apache-2.0
#include "certgen/ca_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace contour::certgen {
namespace {

class CAFileTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string Path(const std::string& name) const { return (folder_ / name).string(); }
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
  }

  const std::filesystem::path folder_ =
      std::filesystem::path(testing::TempDir()) / ("ca_file_test." + std::to_string(getpid()));
};

TEST_F(CAFileTest, TheFileThatIsThereIsTakenUnderEitherName) {
  Write("ca.crt", "one");
  EXPECT_EQ(FindCAFile(Path("cacert.pem")).path, Path("ca.crt"));
  EXPECT_EQ(FindCAFile(Path("ca.crt")).path, Path("ca.crt"));
  std::filesystem::rename(folder_ / "ca.crt", folder_ / "cacert.pem");
  EXPECT_EQ(FindCAFile(Path("ca.crt")).path, Path("cacert.pem"));
  EXPECT_EQ(FindCAFile(Path("cacert.pem")).path, Path("cacert.pem"));
  EXPECT_EQ(FindCAFile(Path("cacert.pem")).passed_over, "");
}

TEST_F(CAFileTest, TheNamedFileWinsAndTheOtherIsReportedIfItDiffers) {
  Write("cacert.pem", "one");
  Write("ca.crt", "one");
  EXPECT_EQ(FindCAFile(Path("cacert.pem")).passed_over, "");
  Write("ca.crt", "two");
  EXPECT_EQ(FindCAFile(Path("cacert.pem")).path, Path("cacert.pem"));
  EXPECT_EQ(FindCAFile(Path("cacert.pem")).passed_over, Path("ca.crt"));
  EXPECT_EQ(FindCAFile(Path("ca.crt")).path, Path("ca.crt"));
  EXPECT_EQ(FindCAFile(Path("ca.crt")).passed_over, Path("cacert.pem"));
}

TEST_F(CAFileTest, WithoutAnyAndWithAnotherNameTheNamedOneIsMeant) {
  EXPECT_EQ(FindCAFile(Path("cacert.pem")).path, Path("cacert.pem"));
  Write("ca.crt", "one");
  EXPECT_EQ(FindCAFile(Path("root.pem")).path, Path("root.pem"));
}

}  // namespace
}  // namespace contour::certgen
