// SPDX-License-Identifier: Apache-2.0
#include "cmd/serve/port_probe.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace contour::cmd {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""h;
using testing::HasSubstr;

// A port that listens until it is closed.
class Listener {
 public:
  Listener() : descriptor_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(descriptor_, generic, size), 0);
    EXPECT_EQ(::listen(descriptor_, 1), 0);
    EXPECT_EQ(::getsockname(descriptor_, generic, &size), 0);
    port_ = ntohs(address.sin_port);
  }
  ~Listener() { Close(); }
  void Close() {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
  }
  int port() const { return port_; }

 private:
  int descriptor_;
  int port_ = 0;
};

TEST(PortProbe, APortThatTakesConnectionsIsAlive) {
  Listener listener;
  PortProbe probe(0ms);
  probe.Opened("0.0.0.0", listener.port());
  EXPECT_EQ(probe.NotAlive(), "");
  listener.Close();
  EXPECT_THAT(probe.NotAlive(), HasSubstr("takes no connections: Connection refused"));
}

TEST(PortProbe, WhatIsMeantToBeClosedIsNoFault) {
  Listener listener;
  PortProbe probe(0ms);
  EXPECT_EQ(probe.NotAlive(), "") << "not opened yet";
  probe.Opened("127.0.0.1", listener.port());
  listener.Close();
  probe.Closed();
  EXPECT_EQ(probe.NotAlive(), "");
}

TEST(PortProbe, OneFailureIsNotEnough) {
  Listener listener;
  PortProbe probe(1h);
  probe.Opened("127.0.0.1", listener.port());
  listener.Close();
  EXPECT_EQ(probe.NotAlive(), "");
  EXPECT_EQ(probe.NotAlive(), "");
}

}  // namespace
}  // namespace contour::cmd
