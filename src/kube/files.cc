// SPDX-License-Identifier: Apache-2.0

#include "kube/files.h"

#include <sys/stat.h>

namespace contour::kube {

std::optional<FileSignature> SignatureOf(const std::string& path) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0) return std::nullopt;
  const auto nanoseconds = [](const timespec& time) {
    return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
  };
  return FileSignature{info.st_dev, info.st_ino, info.st_size, nanoseconds(info.st_mtim),
                       nanoseconds(info.st_ctim)};
}

}  // namespace contour::kube
