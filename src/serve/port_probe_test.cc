// SPDX-License-Identifier: Apache-2.0
#include "serve/port_probe.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/status.h"

namespace contour::serve {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""h;
using testing::HasSubstr;

// A port that listens until it is closed, and accepts when the test asks for it.
class Listener {
 public:
  Listener() : descriptor_(::socket(AF_INET, SOCK_STREAM, 0)) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address_);
    auto* generic = reinterpret_cast<sockaddr*>(&address_);
    EXPECT_EQ(::bind(descriptor_, generic, size), 0);
    EXPECT_EQ(::listen(descriptor_, 4), 0);
    EXPECT_EQ(::getsockname(descriptor_, generic, &size), 0);
  }
  ~Listener() { Close(); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  void Close() {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
  }
  // Makes a client that has gone before it is accepted.
  void Knock() const {
    const int client = ::socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(::connect(client, reinterpret_cast<const sockaddr*>(&address_), sizeof(address_)), 0);
    ::close(client);
  }
  void Accept() const { ::close(::accept(descriptor_, nullptr, nullptr)); }
  int port() const { return ntohs(address_.sin_port); }

 private:
  int descriptor_;
  sockaddr_in address_{};
};

TEST(CheckCanListen, SaysWhyAServerCouldNotListen) {
  Listener listener;
  const auto port = static_cast<std::uint16_t>(listener.port());
  const absl::Status taken = CheckCanListen("127.0.0.1", port);
  EXPECT_EQ(taken.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(Message(taken)),
              testing::AllOf(HasSubstr(fmt::format("127.0.0.1:{}", port)),
                             HasSubstr("Address already in use")));
  listener.Close();
  EXPECT_EQ(CheckCanListen("127.0.0.1", port), absl::OkStatus());
  EXPECT_EQ(CheckCanListen("::1", port), absl::OkStatus());
  EXPECT_EQ(CheckCanListen("0.0.0.0", 0), absl::OkStatus());
  EXPECT_THAT(std::string(Message(CheckCanListen("192.0.2.1", port))),  // nobody's address
              HasSubstr("Cannot assign requested address"));
  EXPECT_THAT(std::string(Message(CheckCanListen("no address", port))), HasSubstr("no address"));
}

TEST(PortProbe, AliveAsLongAsConnectionsAreAccepted) {
  Listener listener;
  PortProbe probe(0ms, 0ms);
  probe.Opened(listener.port());
  EXPECT_EQ(probe.NotAlive(), "");
  listener.Knock();
  EXPECT_THAT(probe.NotAlive(), HasSubstr("takes no connections, 1 wait"));
  listener.Accept();
  EXPECT_EQ(probe.NotAlive(), "");
  listener.Close();
  EXPECT_THAT(probe.NotAlive(), HasSubstr("isn't listened on"));
}

TEST(PortProbe, APortThatIsToBeClosedIsNoFault) {
  Listener listener;
  listener.Knock();
  PortProbe probe(0ms, 0ms);
  EXPECT_EQ(probe.NotAlive(), "") << "not opened yet";
  probe.Opened(listener.port());
  probe.Closed();
  EXPECT_EQ(probe.NotAlive(), "");
}

TEST(PortProbe, AMomentIsNotEnough) {
  Listener listener;
  listener.Knock();
  PortProbe probe(1h, 0ms);
  probe.Opened(listener.port());
  EXPECT_EQ(probe.NotAlive(), "");
  EXPECT_EQ(probe.NotAlive(), "");
}

TEST(PortProbe, ManyProbesCostOneLook) {
  Listener listener;
  PortProbe probe(0ms, 1h);
  probe.Opened(listener.port());
  EXPECT_EQ(probe.NotAlive(), "");
  listener.Knock();
  EXPECT_EQ(probe.NotAlive(), "") << "as it was a moment ago";
  probe.Opened(listener.port());
  EXPECT_THAT(probe.NotAlive(), HasSubstr("takes no connections, 1 wait"));
}

}  // namespace
}  // namespace contour::serve
