// SPDX-License-Identifier: Apache-2.0
#include "cmd/harden.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <new>
#include <string_view>

namespace contour::cmd {
namespace {

constexpr std::string_view kOutOfMemory =
    "contour: error: out of memory; stopping, so that a restart begins clean. "
    "Raise the memory limit, or watch fewer namespaces (--watch-namespaces).\n";

// Ends the process without allocating anything.
[[noreturn]] void OutOfMemory() {
  [[maybe_unused]] const ssize_t written =
      ::write(STDERR_FILENO, kOutOfMemory.data(), kOutOfMemory.size());
  std::_Exit(1);
}

}  // namespace

void Harden() {
  std::set_new_handler(OutOfMemory);
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::prctl(PR_SET_DUMPABLE, 0);
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
}

}  // namespace contour::cmd
