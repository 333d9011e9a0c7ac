// SPDX-License-Identifier: Apache-2.0

#include "admin/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

#include "base/read_file.h"

namespace contour::admin {
namespace {

// Returns the fields of /proc/self/stat from the third on: the second, a name in parentheses, may
// have any character.
std::vector<double> StatFields() {
  const std::string text = ReadFile("/proc/self/stat").value_or("");
  const std::size_t end = text.rfind(')');
  if (end == std::string::npos || end + 4 > text.size()) return {};
  std::istringstream rest(text.substr(end + 4));  // after ") S"
  return {std::istream_iterator<double>(rest), {}};
}

std::optional<double> BootTime() {
  const std::string text = ReadFile("/proc/stat").value_or("");
  const std::size_t at = text.find("\nbtime ");
  if (at == std::string::npos) return std::nullopt;
  return static_cast<double>(std::strtoll(text.c_str() + at + 7, nullptr, 10));
}

}  // namespace

void AddProcess(MetricsText& text) {
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  // proc(5) counts fields from 1; ours begin with the fourth, ppid.
  const std::vector<double> fields = StatFields();
  const auto field = [&](std::size_t number) { return fields[number - 4]; };
  if (fields.size() > 20) {
    text.Set("process_cpu_seconds_total", (field(14) + field(15)) / ticks);
    text.Set("process_threads", field(20));
    if (const std::optional<double> boot = BootTime())
      text.Set("process_start_time_seconds", *boot + field(22) / ticks);
    text.Set("process_virtual_memory_bytes", field(23));
    text.Set("process_resident_memory_bytes",
             field(24) * static_cast<double>(sysconf(_SC_PAGESIZE)));
  }
  std::error_code error;
  std::uint64_t open = 0;
  for (std::filesystem::directory_iterator each("/proc/self/fd", error), end; !error && each != end;
       each.increment(error))
    ++open;
  if (open > 0) text.Set("process_open_fds", open - 1);  // but for the folder's own
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) text.Set("process_max_fds", limit.rlim_cur);
}

}  // namespace contour::admin
