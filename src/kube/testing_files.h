// SPDX-License-Identifier: Apache-2.0
// Makes a folder for a test, which is removed at its end.

#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace contour::kube {

class TempFolder {
 public:
  TempFolder() {
    std::string name = testing::TempDir() + "/contour-kube-XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    path_ = name;
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::string& path() const { return path_; }

  // Replaces the file by renaming, and returns its path.
  std::string Write(const std::string& name, const std::string& text) const {
    const std::string file = path_ + "/" + name;
    std::filesystem::create_directories(std::filesystem::path(file).parent_path());
    std::ofstream(file + ".new") << text;
    std::filesystem::rename(file + ".new", file);
    return file;
  }
  std::string WriteProgram(const std::string& name, const std::string& text) const {
    const std::string file = Write(name, text);
    chmod(file.c_str(), 0755);
    return file;
  }

 private:
  std::string path_;
};

}  // namespace contour::kube
