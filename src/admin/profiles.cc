// SPDX-License-Identifier: Apache-2.0

#include "admin/profiles.h"

#include <absl/debugging/symbolize.h>
#include <dlfcn.h>
#include <fmt/core.h>
#include <gperftools/malloc_extension.h>
#ifdef CONTOUR_PROFILER
#include <gperftools/profiler.h>
#endif
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <limits>
#include <sstream>
#include <system_error>
#include <vector>

#include "base/read_file.h"
#include "base/status.h"

namespace contour::admin {
namespace {

#ifdef CONTOUR_PROFILER
// A file in memory, since the root of a container is often read-only.
class MemoryFile {
 public:
  MemoryFile() : descriptor_(memfd_create("profile", MFD_CLOEXEC)) {}
  ~MemoryFile() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::string path() const { return fmt::format("/proc/self/fd/{}", descriptor_); }

 private:
  int descriptor_;
};
#endif

}  // namespace

absl::StatusOr<std::string> Profiles::CPU(std::chrono::seconds time) {
#ifdef CONTOUR_PROFILER
  const MutexLock lock(mutex_);
  if (cancelled_) return Unavailable("the process is stopping");
  if (taking_) return Unavailable("a CPU profile is being taken already");
  const MemoryFile file;
  if (ProfilerStart(file.path().c_str()) == 0)
    return Unavailable("the profiler could not be started");
  taking_ = true;
  const auto end = std::chrono::steady_clock::now() + time;
  while (!cancelled_ && wake_.WaitUntil(mutex_, end)) {
  }
  ProfilerStop();
  taking_ = false;
  if (cancelled_) return Unavailable("the process is stopping");
  return ReadFile(file.path(), {.max_bytes = std::numeric_limits<std::size_t>::max()});
#else
  static_cast<void>(time);
  return absl::UnimplementedError("this build has no CPU profiler");
#endif
}

absl::StatusOr<std::string> Profiles::Heap() {
  // Only its declaration comes from the library's header: there is nothing to link.
  using Instance = MallocExtension* (*)();
  const auto instance =
      reinterpret_cast<Instance>(dlsym(RTLD_DEFAULT, "_ZN15MallocExtension8instanceEv"));
  if (instance == nullptr) {
    return FailedPrecondition(
        "the allocator can't: start contour with LD_PRELOAD=libtcmalloc.so.4 and "
        "TCMALLOC_SAMPLE_PARAMETER=524288 in its environment");
  }
  std::string profile;
  instance()->GetHeapSample(&profile);
  return profile;
}

void Profiles::Cancel() {
  const MutexLock lock(mutex_);
  cancelled_ = true;
  wake_.NotifyAll();
}

std::string Symbols(std::string_view addresses) {
  static const bool initialised = [] {
    absl::InitializeSymbolizer("/proc/self/exe");
    return true;
  }();
  static_cast<void>(initialised);
  std::string text = "num_symbols: 1\n";
  while (!addresses.empty()) {
    const std::string_view one = addresses.substr(0, addresses.find('+'));
    addresses.remove_prefix(std::min(one.size() + 1, addresses.size()));
    std::uintptr_t address = 0;
    const std::string_view digits = one.starts_with("0x") ? one.substr(2) : one;
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), address, 16);
    if (error != std::errc() || address == 0) continue;
    std::array<char, 512> name{};
    if (absl::Symbolize(std::bit_cast<const void*>(address), name.data(),
                        static_cast<int>(name.size()))) {
      text += fmt::format("{:#x}\t{}\n", address, name.data());
    }
  }
  return text;
}

std::string CommandLine() { return ReadFile("/proc/self/cmdline").value_or(""); }

std::string Threads() {
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  std::string text =
      fmt::format("{:>8}  {:<16} {:>10} {:>10}\n", "thread", "name", "user s", "system s");
  std::error_code error;
  std::vector<std::filesystem::path> threads;
  for (std::filesystem::directory_iterator each("/proc/self/task", error), end;
       !error && each != end; each.increment(error))
    threads.push_back(each->path());
  std::sort(threads.begin(), threads.end());
  for (const std::filesystem::path& thread : threads) {
    // In proc(5) the second field, in parentheses, may have any character. The text here begins
    // with the fourth; user and system time are the 14th and 15th.
    const std::string stat = ReadFile(thread / "stat").value_or("");
    const std::size_t begin = stat.find('(');
    const std::size_t end = stat.rfind(')');
    if (begin == std::string::npos || end == std::string::npos || end + 4 > stat.size()) continue;
    std::istringstream rest(stat.substr(end + 4));
    const std::vector<double> fields{std::istream_iterator<double>(rest), {}};
    if (fields.size() < 12) continue;
    text += fmt::format("{:>8}  {:<16} {:>10.2f} {:>10.2f}\n", thread.filename().string(),
                        stat.substr(begin + 1, end - begin - 1), fields[10] / ticks,
                        fields[11] / ticks);
  }
  return text;
}

}  // namespace contour::admin
