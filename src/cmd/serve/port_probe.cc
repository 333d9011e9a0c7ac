// SPDX-License-Identifier: Apache-2.0
#include "cmd/serve/port_probe.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

namespace contour::cmd {
namespace {

constexpr int kTimeoutMs = 1000;

std::string ErrorText(int error) { return std::generic_category().message(error); }

// Where we reach ourselves: the wildcard address isn't one to connect to.
socklen_t Fill(const std::string& address, int port, sockaddr_storage& storage) {
  auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
  if (inet_pton(AF_INET, address.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(static_cast<std::uint16_t>(port));
    if (v4->sin_addr.s_addr == htonl(INADDR_ANY)) v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return sizeof(sockaddr_in);
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
  if (inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(static_cast<std::uint16_t>(port));
    if (IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr)) v6->sin6_addr = in6addr_loopback;
    return sizeof(sockaddr_in6);
  }
  return 0;
}

// Why no connection came about; empty: one did.
std::string Connect(const std::string& address, int port) {
  sockaddr_storage storage{};
  const socklen_t size = Fill(address, port, storage);
  if (size == 0) return "";  // a name: not ours to resolve
  const int descriptor = ::socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return ErrorText(errno);
  std::string why;
  if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&storage), size) != 0) {
    int error = errno;
    if (error == EINPROGRESS) {
      pollfd polled{.fd = descriptor, .events = POLLOUT, .revents = 0};
      socklen_t length = sizeof(error);
      if (::poll(&polled, 1, kTimeoutMs) != 1) {
        error = ETIMEDOUT;
      } else if (::getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length) != 0) {
        error = errno;
      }
    }
    if (error != 0) why = ErrorText(error);
  }
  ::close(descriptor);
  return why;
}

}  // namespace

void PortProbe::Opened(const std::string& address, int port) {
  const std::lock_guard lock(mutex_);
  target_ = Target{address, port};
  failing_since_.reset();
}

void PortProbe::Closed() {
  const std::lock_guard lock(mutex_);
  target_.reset();
  failing_since_.reset();
}

std::string PortProbe::NotAlive() {
  std::optional<Target> target;
  {
    const std::lock_guard lock(mutex_);
    target = target_;
  }
  if (!target) return "";
  const std::string why = Connect(target->address, target->port);
  const auto now = std::chrono::steady_clock::now();
  const std::lock_guard lock(mutex_);
  if (why.empty() || !target_) {
    failing_since_.reset();
    return "";
  }
  if (!failing_since_) failing_since_ = now;
  if (now - *failing_since_ < patience_) return "";
  return fmt::format("the xDS port {}:{} takes no connections: {}", target->address, target->port,
                     why);
}

}  // namespace contour::cmd
