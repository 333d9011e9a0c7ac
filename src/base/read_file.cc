// SPDX-License-Identifier: Apache-2.0

#include "base/read_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <system_error>

#include "base/status.h"

namespace contour {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }

 private:
  const int value_;
};

std::string ErrorText(int error) { return std::generic_category().message(error); }

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path, const ReadFileOptions& options) {
  const auto failure = [&] {
    const int error = errno;
    if (error == ENOENT || error == ENOTDIR) return NotFound("{}: {}", path, ErrorText(error));
    return Unavailable("{}: {}", path, ErrorText(error));
  };
  // Opening a pipe would otherwise wait until somebody writes to it.
  const int no_waiting = options.only_regular ? O_NONBLOCK | O_NOCTTY : 0;
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | no_waiting));
  if (file.get() < 0) return failure();
  struct stat status = {};
  if (fstat(file.get(), &status) != 0) return failure();
  if (options.only_regular && !S_ISREG(status.st_mode)) {
    return InvalidArgument("{}: not a regular file", path);
  }
  const auto too_large = [&] {
    return InvalidArgument("{}: larger than {} bytes", path, options.max_bytes);
  };
  if (S_ISREG(status.st_mode) && static_cast<std::uint64_t>(status.st_size) > options.max_bytes) {
    return too_large();
  }
  // Files of /proc and pipes have a size of 0. One byte more than the size is read, so that the
  // last read finds the end.
  constexpr std::size_t kUnknownSize = 4096;
  std::string text;
  for (std::size_t size = std::max<std::size_t>(status.st_size + 1, kUnknownSize), used = 0;;
       size = used * 2) {
    text.resize(size);
    while (used < size) {
      const ssize_t count = read(file.get(), text.data() + used, size - used);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return failure();
      if (count == 0) {
        text.resize(used);
        return text;
      }
      used += static_cast<std::size_t>(count);
      if (used > options.max_bytes) return too_large();
    }
  }
}

}  // namespace contour
