// SPDX-License-Identifier: Apache-2.0
#include "cmd/serve/port_probe.h"

#include <fmt/core.h>

#include <charconv>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string_view>
#include <thread>

namespace contour::cmd {
namespace {

constexpr int kLooks = 20;
constexpr std::chrono::milliseconds kBetweenLooks{10};
constexpr std::string_view kListening = "0A";

std::optional<std::uint32_t> Hex(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// How many connections wait on a listening port, by the tables of proc(5); nullopt: it isn't
// listening, or the tables can't be read.
//   sl  local_address rem_address   st tx_queue:rx_queue …     (of listeners rx_queue is the queue)
std::optional<std::uint32_t> Waiting(int port) {
  std::optional<std::uint32_t> waiting;
  for (const char* table : {"/proc/self/net/tcp", "/proc/self/net/tcp6"}) {
    std::ifstream file(table);
    std::string line;
    std::getline(file, line);  // the names of the columns
    while (std::getline(file, line)) {
      std::istringstream columns(line);
      std::string number;
      std::string local;
      std::string remote;
      std::string state;
      std::string queues;
      if (!(columns >> number >> local >> remote >> state >> queues) || state != kListening)
        continue;
      const auto colon = local.rfind(':');
      const auto between = queues.find(':');
      if (colon == std::string::npos || between == std::string::npos) continue;
      if (Hex(std::string_view(local).substr(colon + 1)) != static_cast<std::uint32_t>(port))
        continue;
      const auto queue = Hex(std::string_view(queues).substr(between + 1));
      if (queue) waiting = waiting.value_or(0) + *queue;
    }
  }
  return waiting;
}

// Empty: at some moment nobody waited.
std::string Look(int port) {
  std::optional<std::uint32_t> waiting;
  for (int look = 0; look < kLooks; ++look) {
    if (look > 0) std::this_thread::sleep_for(kBetweenLooks);
    waiting = Waiting(port);
    if (waiting == 0U) return "";
  }
  if (!waiting) return fmt::format("the xDS port {} isn't listened on", port);
  return fmt::format("the xDS port {} takes no connections, {} wait", port, *waiting);
}

}  // namespace

void PortProbe::Opened(int port) {
  const MutexLock lock(mutex_);
  port_ = port;
  failing_since_.reset();
}

void PortProbe::Closed() {
  const MutexLock lock(mutex_);
  port_.reset();
  failing_since_.reset();
}

std::string PortProbe::NotAlive() {
  std::optional<int> port;
  {
    const MutexLock lock(mutex_);
    port = port_;
  }
  if (!port) return "";
  std::string why = Look(*port);
  const auto now = std::chrono::steady_clock::now();
  const MutexLock lock(mutex_);
  if (why.empty() || port_ != port) {
    failing_since_.reset();
    return "";
  }
  if (!failing_since_) failing_since_ = now;
  return now - *failing_since_ < patience_ ? "" : why;
}

}  // namespace contour::cmd
