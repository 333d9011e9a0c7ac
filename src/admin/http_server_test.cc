// SPDX-License-Identifier: Apache-2.0

#include "admin/http_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace contour::admin {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// A client that sends single bytes.
class Client {
 public:
  explicit Client(int port, const std::string& sent = "", int receive_buffer = 0)
      : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_buffer > 0)
      setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    Send(sent);
  }
  ~Client() { close(socket_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool Send(const std::string& bytes) {
    return bytes.empty() || send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
                                static_cast<ssize_t>(bytes.size());
  }
  // Returns what comes until the end of the connection or the deadline.
  std::string Receive(std::chrono::milliseconds patience = 5s) {
    const Clock::time_point deadline = Clock::now() + patience;
    std::string text;
    while (Clock::now() < deadline) {
      pollfd one{.fd = socket_, .events = POLLIN, .revents = 0};
      if (poll(&one, 1, 10) <= 0) continue;
      char buffer[4096];
      const ssize_t got = recv(socket_, buffer, sizeof(buffer), 0);
      if (got <= 0) {
        ended_ = true;
        return text;
      }
      text.append(buffer, static_cast<std::size_t>(got));
    }
    return text;
  }
  bool ended() const { return ended_; }  // Receive saw the end

 private:
  const int socket_;
  bool ended_ = false;
};

constexpr const char* kGetHealth = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

class HttpServerTest : public testing::Test {
 protected:
  int Start(HttpServer::Options options) {
    options.name = "test";
    options.address = "127.0.0.1";
    server_ = std::make_unique<HttpServer>(std::move(options));
    server_->Handle(HttpServer::Method::kGet, "/healthz",
                    [](const HttpRequest&) { return HttpResponse{"OK\n"}; });
    server_->Handle(
        HttpServer::Method::kGet, "/large",
        [](const HttpRequest&) { return HttpResponse{std::string(16 << 20, 'x')}; },
        HttpServer::Limit{.at_most = 2});
    server_->Handle(
        HttpServer::Method::kGet, "/wait",
        [this](const HttpRequest& request) {
          ++waiting_;
          while (!release_ && !request.client_left()) std::this_thread::sleep_for(5ms);
          --waiting_;
          return HttpResponse{"done\n"};
        },
        HttpServer::Limit{.at_most = 3, .per_address = 2});
    const auto port = server_->Start();
    EXPECT_TRUE(port.ok()) << port.status();
    return port.value_or(0);
  }
  void TearDown() override { release_ = true; }

  // Returns how long a probe on a connection of its own takes.
  static std::chrono::milliseconds Probe(int port) {
    const Clock::time_point began = Clock::now();
    Client client(port, kGetHealth);
    std::string answer;
    while (answer.find("OK\n") == std::string::npos && !client.ended() && Clock::now() - began < 5s)
      answer += client.Receive(5ms);
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 200")) << (client.ended() ? "ended" : "no answer");
    return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began);
  }

  std::unique_ptr<HttpServer> server_;
  std::atomic<bool> release_ = false;
  std::atomic<int> waiting_ = 0;
};

TEST_F(HttpServerTest, AProbeIsAnsweredWhileClientsSendAByteNowAndThen) {
  const int port = Start({.connections = 8});
  std::vector<std::unique_ptr<Client>> slow;
  for (int i = 0; i < 40; ++i) slow.push_back(std::make_unique<Client>(port, "GET /hea"));
  for (int i = 0; i < 5; ++i) {
    for (const auto& client : slow) client->Send("l");
    EXPECT_LT(Probe(port), 1s);
  }
}

TEST_F(HttpServerTest, AProbeIsAnsweredWhileScrapersKeepTheirConnections) {
  const int port = Start({.connections = 8});
  std::vector<std::unique_ptr<Client>> idle;
  for (int i = 0; i < 8; ++i) {
    idle.push_back(std::make_unique<Client>(port, kGetHealth));
    EXPECT_THAT(idle.back()->Receive(50ms), HasSubstr("OK\n"));
    EXPECT_FALSE(idle.back()->ended());
  }
  EXPECT_LT(Probe(port), 1s);
  std::size_t ended = 0;
  for (const auto& client : idle) {
    client->Receive(20ms);
    ended += client->ended() ? 1 : 0;
  }
  EXPECT_EQ(ended, 1U) << "of the eight one made room, the longest idle";
  idle[0]->Receive(1ms);
  EXPECT_TRUE(idle[0]->ended());
}

TEST_F(HttpServerTest, AProbeIsAnsweredWhileClientsDoNotReadTheirAnswers) {
  const int port = Start({.connections = 8});
  std::vector<std::unique_ptr<Client>> slow;
  for (int i = 0; i < 20; ++i) {
    slow.push_back(std::make_unique<Client>(port, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n", 4096));
    EXPECT_LT(Probe(port), 1s);
  }
}

TEST_F(HttpServerTest, AProbeIsAnsweredWhileAllOtherRequestsWait) {
  const int port = Start({.connections = 8});
  std::vector<std::unique_ptr<Client>> waiting;
  for (int i = 0; i < 8; ++i)
    waiting.push_back(std::make_unique<Client>(port, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_LT(Probe(port), 1s);
}

TEST_F(HttpServerTest, ARequestHasATimeHoweverItsBytesCome) {
  const int port = Start({.request = 500ms});
  Client client(port, "GET /healthz HTTP/1.1\r\nx: ");
  const Clock::time_point began = Clock::now();
  while (!client.ended() && Clock::now() - began < 5s) {
    client.Send("v");
    client.Receive(50ms);
  }
  EXPECT_TRUE(client.ended());
  EXPECT_GT(Clock::now() - began, 400ms);
  EXPECT_LT(Clock::now() - began, 2s);
}

TEST_F(HttpServerTest, ABodyHasTheTimeOfItsRequest) {
  server_ = std::make_unique<HttpServer>(
      HttpServer::Options{.name = "test", .address = "127.0.0.1", .request = 500ms});
  server_->Handle(HttpServer::Method::kPut, "/level",
                  [](const HttpRequest& request) { return HttpResponse{request.body}; });
  const auto again = server_->Start();
  ASSERT_TRUE(again.ok());
  Client client(*again, "PUT /level HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n");
  const Clock::time_point began = Clock::now();
  while (!client.ended() && Clock::now() - began < 5s) {
    client.Send("v");
    client.Receive(50ms);
  }
  EXPECT_TRUE(client.ended());
  EXPECT_LT(Clock::now() - began, 2s);
}

TEST_F(HttpServerTest, AnIdleConnectionEnds) {
  const int port = Start({.idle = 300ms});
  Client silent(port);
  Client served(port, kGetHealth);
  EXPECT_EQ(silent.Receive(2s), "");
  EXPECT_TRUE(silent.ended());
  EXPECT_THAT(served.Receive(2s), StartsWith("HTTP/1.1 200"));
  EXPECT_TRUE(served.ended());
}

TEST_F(HttpServerTest, AnAnswerHasATimeToBeRead) {
  const int port = Start({.answer = 500ms});
  Client slow(port, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n", 4096);
  std::this_thread::sleep_for(1500ms);
  const std::string rest = slow.Receive(5s);
  EXPECT_TRUE(slow.ended());
  EXPECT_LT(rest.size(), 16U << 20);
}

TEST_F(HttpServerTest, ARequestHasASize) {
  const int port = Start({});
  Client client(port, "GET /healthz HTTP/1.1\r\n");
  const std::string header = "x: " + std::string(1000, 'v') + "\r\n";
  int sent = 0;
  while (sent < 100'000 && client.Send(header)) ++sent;
  EXPECT_LT(sent, 100'000);
  Client line(port, "GET /");
  const std::string part(1000, 'v');
  sent = 0;
  while (sent < 100'000 && line.Send(part)) ++sent;
  EXPECT_LT(sent, 100'000);
}

TEST_F(HttpServerTest, RequestsBeyondALimitAreRefusedAtOnce) {
  const int port = Start({});
  const std::string wait = "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n";
  Client first(port, wait);
  Client second(port, wait);
  while (waiting_ < 2) std::this_thread::sleep_for(5ms);
  EXPECT_THAT(Client(port, wait).Receive(1s), StartsWith("HTTP/1.1 503")) << "two of one address";
  release_ = true;
  EXPECT_THAT(first.Receive(300ms), HasSubstr("done"));
  EXPECT_THAT(second.Receive(300ms), HasSubstr("done"));
}

TEST_F(HttpServerTest, AClientThatLeavesFreesItsPlace) {
  const int port = Start({});
  const std::string wait = "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n";
  for (int round = 0; round < 3; ++round) {
    Client one(port, wait);
    Client two(port, wait);
    while (waiting_ < 2) std::this_thread::sleep_for(5ms);
  }
  const Clock::time_point began = Clock::now();
  while (waiting_ > 0 && Clock::now() - began < 5s) std::this_thread::sleep_for(5ms);
  EXPECT_EQ(waiting_, 0);
}

TEST_F(HttpServerTest, ASlowReaderMakesRoomForTheNext) {
  const int port = Start({});
  const std::string large = "GET /large HTTP/1.1\r\nHost: x\r\n\r\n";
  Client one(port, large, 4096);
  Client two(port, large, 4096);
  std::this_thread::sleep_for(300ms);
  EXPECT_THAT(Client(port, large).Receive(1s), StartsWith("HTTP/1.1 503"))
      << "as long as they may be quick";
  const Clock::time_point began = Clock::now();
  bool answered = false;
  while (!answered && Clock::now() - began < 15s)
    answered = Client(port, large).Receive(1s).starts_with("HTTP/1.1 200");
  EXPECT_TRUE(answered) << "long before they run out of time";
}

TEST_F(HttpServerTest, DescriptorsAboveThoseOfSelectAreServed) {
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  if (limit.rlim_max < 2000) GTEST_SKIP() << "no more than " << limit.rlim_max << " descriptors";
  limit.rlim_cur = std::max<rlim_t>(limit.rlim_cur, 2000);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  const int port = Start({});
  std::vector<int> taken;
  for (int i = 0; i < 1100; ++i) taken.push_back(open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_GT(taken.back(), 1024);
  EXPECT_LT(Probe(port), 1s);
  for (const int each : taken) close(each);
}

TEST_F(HttpServerTest, NobodyElseSharesThePort) {
  const int port = Start({});
  HttpServer second(
      {.name = "second", .address = "127.0.0.1", .port = static_cast<std::uint16_t>(port)});
  EXPECT_FALSE(second.Start().ok());
}

TEST_F(HttpServerTest, StopWaitsForNoSlowClient) {
  const int port = Start({});
  Client idle(port);
  Client slow(port, "GET /hea");
  Client reader(port, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n", 4096);
  std::this_thread::sleep_for(200ms);
  const Clock::time_point began = Clock::now();
  server_->Stop();
  EXPECT_LT(Clock::now() - began, 5s);
}

TEST_F(HttpServerTest, StopLetsWhatIsHandledBeAnswered) {
  const int port = Start({});
  Client waiting(port, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
  while (waiting_ < 1) std::this_thread::sleep_for(5ms);
  std::thread stopper([&] { server_->Stop(); });
  std::this_thread::sleep_for(100ms);
  release_ = true;
  EXPECT_THAT(waiting.Receive(2s), HasSubstr("done"));
  stopper.join();
}

TEST_F(HttpServerTest, RequestsOfOneConnectionFollowEachOther) {
  const int port = Start({});
  Client client(port, std::string(kGetHealth) + kGetHealth);
  const std::string answers = client.Receive(300ms);
  const std::size_t first = answers.find("OK\n");
  ASSERT_NE(first, std::string::npos);
  EXPECT_NE(answers.find("OK\n", first + 1), std::string::npos);
}

// Opens more connections at once than are permitted, again and again.
TEST_F(HttpServerTest, Storm) {
  const int port = Start({.connections = 8});
  std::atomic<bool> done = false;
  std::vector<std::thread> clients;
  for (int i = 0; i < 12; ++i) {
    clients.emplace_back([&, i] {
      while (!done) {
        Client client(port, i % 2 == 0 ? kGetHealth : "GET /");
        client.Receive(5ms);
      }
    });
  }
  const Clock::time_point began = Clock::now();
  while (Clock::now() - began < 1s) EXPECT_LT(Probe(port), 1s);
  done = true;
  for (std::thread& client : clients) client.join();
  server_->Stop();
}

}  // namespace
}  // namespace contour::admin
