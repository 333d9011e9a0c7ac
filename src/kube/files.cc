// SPDX-License-Identifier: Apache-2.0

#include "kube/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/status.h"

namespace contour::kube {

constexpr std::size_t kMostBytes = 16 * 1024 * 1024;

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return NotFound("{}: {}", path, std::strerror(errno));
    return Unavailable("{}: {}", path, std::strerror(errno));
  }
  std::string text;
  char buffer[64 * 1024];
  ssize_t got = 0;
  while ((got = read(file, buffer, sizeof buffer)) > 0 && text.size() <= kMostBytes) {
    text.append(buffer, static_cast<std::size_t>(got));
  }
  const int error = errno;
  close(file);
  if (got < 0) return Unavailable("{}: {}", path, std::strerror(error));
  if (text.size() > kMostBytes) return Unavailable("{}: larger than {} bytes", path, kMostBytes);
  return text;
}

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
