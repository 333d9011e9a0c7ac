// SPDX-License-Identifier: Apache-2.0
// A whole file as it is, for the small ones of proc(5) and profiles of our own; empty if it can't
// be read.

#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace contour::admin {

inline std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace contour::admin
