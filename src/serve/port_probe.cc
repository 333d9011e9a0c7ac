// SPDX-License-Identifier: Apache-2.0
#include "serve/port_probe.h"

#include <fmt/core.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "base/status.h"

namespace contour::serve {
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

// Returns the field of a line of proc(5)'s tables after `skipped` others; empty: there is none.
//   sl  local_address rem_address   st tx_queue:rx_queue …     (of listeners rx_queue is the queue)
std::string_view Field(std::string_view line, int skipped) {
  for (;; --skipped) {
    const std::size_t begin = line.find_first_not_of(' ');
    if (begin == std::string_view::npos) return {};
    line.remove_prefix(begin);
    const std::size_t end = std::min(line.find(' '), line.size());
    if (skipped == 0) return line.substr(0, end);
    line.remove_prefix(end);
  }
}

// Returns how many connections wait on a listening port, from the tables of proc(5); nullopt: it
// isn't listening, or the tables can't be read.
std::optional<std::uint32_t> Waiting(int port) {
  std::optional<std::uint32_t> waiting;
  for (const char* table : {"/proc/self/net/tcp", "/proc/self/net/tcp6"}) {
    std::ifstream file(table);
    std::string line;
    std::getline(file, line);  // the names of the columns
    bool found = false;
    while (std::getline(file, line)) {
      if (Field(line, 3) != kListening) {
        // Linux lists listening sockets first. There may be very many others, and the probe must be
        // quick.
        if (found) break;
        continue;
      }
      const std::string_view local = Field(line, 1);
      const std::string_view queues = Field(line, 4);
      const auto colon = local.rfind(':');
      const auto between = queues.find(':');
      if (colon == std::string_view::npos || between == std::string_view::npos) continue;
      if (Hex(local.substr(colon + 1)) != static_cast<std::uint32_t>(port)) continue;
      found = true;
      if (const auto queue = Hex(queues.substr(between + 1)))
        waiting = waiting.value_or(0) + *queue;
    }
  }
  return waiting;
}

// Returns why the port doesn't accept; empty: at some moment no connection waited.
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

// Binds a socket there and closes it. Returns 0, or the errno of the failure.
int BindError(const addrinfo& place) {
  const int descriptor = socket(place.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return errno;
  const int on = 1;  // as servers do it, so that connections of a former process don't matter
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const int error = bind(descriptor, place.ai_addr, place.ai_addrlen) == 0 ? 0 : errno;
  close(descriptor);
  return error;
}

}  // namespace

absl::Status CheckCanListen(const std::string& address, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int failed = getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (failed != 0) {
    return Unavailable("can't listen on {}:{}: {}", address, port, gai_strerror(failed));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> places(found, &freeaddrinfo);
  const int error = BindError(*places);
  if (error == 0) return absl::OkStatus();
  return Unavailable("can't listen on {}:{}: {}", address, port, std::strerror(error));
}

void PortProbe::Opened(int port) {
  const MutexLock lock(mutex_);
  Forget();
  port_ = port;
}

void PortProbe::Closed() {
  const MutexLock lock(mutex_);
  Forget();
}

void PortProbe::Forget() {
  port_.reset();
  failing_since_.reset();
  looked_.reset();
  said_.clear();
}

std::string PortProbe::NotAlive() {
  std::optional<int> port;
  {
    const MutexLock lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    if (!port_ || looking_ || (looked_ && now - *looked_ < fresh_)) return said_;
    looking_ = true;
    port = port_;
  }
  std::string why = Look(*port);
  const auto now = std::chrono::steady_clock::now();
  const MutexLock lock(mutex_);
  looking_ = false;
  if (port_ != port) return said_;
  looked_ = now;
  if (why.empty()) {
    failing_since_.reset();
  } else if (!failing_since_) {
    failing_since_ = now;
  }
  said_ = failing_since_ && now - *failing_since_ >= patience_ ? std::move(why) : "";
  return said_;
}

}  // namespace contour::serve
