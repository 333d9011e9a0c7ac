// SPDX-License-Identifier: Apache-2.0
// Tests CurlIo with real sockets on loopback.

#include "kube/curl_io.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "kube/testing_certificates.h"
#include "kube/testing_server.h"

namespace contour::kube {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

// Collects one answer; the test's thread waits for it.
class Collector : public HttpHandler {
 public:
  void OnHead(const HttpHead& head) override {
    const std::lock_guard lock(mutex_);
    head_ = head;
    ++heads_;
    changed_.notify_all();
  }
  void OnBody(std::string_view bytes) override {
    const std::lock_guard lock(mutex_);
    body_ += bytes;
    changed_.notify_all();
  }
  void OnEnd(const absl::Status& status) override {
    const std::lock_guard lock(mutex_);
    // The status is copied, not shared: the packaged Abseil counts its users where the thread
    // sanitizer can't see it, which would then report a race.
    end_ = absl::Status(status.code(), status.message());
    changed_.notify_all();
  }
  virtual ~Collector() = default;

  absl::Status WaitEnd() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, 20s, [&] { return end_.has_value(); }))
      return absl::InternalError("no end");
    return *end_;
  }
  bool WaitBody(std::string_view text) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 20s, [&] { return body_ == text; });
  }
  bool ended() {
    const std::lock_guard lock(mutex_);
    return end_.has_value();
  }
  std::string body() {
    const std::lock_guard lock(mutex_);
    return body_;
  }
  HttpHead head() {
    const std::lock_guard lock(mutex_);
    return head_;
  }
  int heads() {
    const std::lock_guard lock(mutex_);
    return heads_;
  }

 protected:
  std::mutex mutex_;
  std::condition_variable changed_;
  HttpHead head_;
  int heads_ = 0;
  std::string body_;
  std::optional<absl::Status> end_;
};

class CurlIoTest : public testing::Test {
 protected:
  Transport::RequestId Start(HttpRequest request, HttpHandler& handler) {
    std::optional<Transport::RequestId> id;
    io_.Run([&] { id = io_.Start(std::move(request), handler); });
    return *id;
  }
  // A GET of the server's root with these settings, to its end.
  struct Result {
    absl::Status status;
    int http_status;
    std::string body;
  };
  Result Get(HttpRequest request) {
    Collector collector;
    Start(std::move(request), collector);
    const absl::Status status = collector.WaitEnd();
    return {status, collector.head().status, collector.body()};
  }

  CurlIo io_{CurlIo::Options{.user_agent = "contour-test"}};
};

TEST_F(CurlIoTest, RequestAndAnswer) {
  ServerRequest seen;
  TestServer server([&](const ServerRequest& request, ServerStream& stream) {
    seen = request;
    stream.Raw("HTTP/1.1 100 Continue\r\n\r\n");
    stream.Answer(429, "text", {"RETRY-AFTER:  17 "});
  });
  Collector collector;
  Start({.method = "PATCH",
         .url = server.url() + "/a?b=c",
         .headers = {{"Content-Type", "application/merge-patch+json"}, {"X-Test", "1"}},
         .body = "{\"x\":1}"},
        collector);
  EXPECT_TRUE(collector.WaitEnd().ok());
  EXPECT_EQ(collector.head().status, 429);
  EXPECT_EQ(collector.head().retry_after, 17s);
  EXPECT_EQ(collector.heads(), 1);
  EXPECT_EQ(collector.body(), "text");
  EXPECT_EQ(seen.method, "PATCH");
  EXPECT_EQ(seen.target, "/a?b=c");
  EXPECT_EQ(seen.body, "{\"x\":1}");
  EXPECT_EQ(seen.header("content-type"), "application/merge-patch+json");
  EXPECT_EQ(seen.header("x-test"), "1");
  EXPECT_EQ(seen.header("user-agent"), "contour-test");
  EXPECT_EQ(seen.header("accept-encoding"), "gzip");
  EXPECT_EQ(seen.headers.count("expect"), 0u);
}

TEST_F(CurlIoTest, MethodsAndEmptyBodies) {
  std::string seen;
  TestServer server([&](const ServerRequest& request, ServerStream& stream) {
    seen = request.method + " " + request.header("content-length") + " " + request.body;
    stream.Answer(200, "");
  });
  for (const auto& [method, want] :
       {std::pair{"GET", "GET  "}, std::pair{"POST", "POST 0 "}, std::pair{"PUT", "PUT 0 "},
        std::pair{"PATCH", "PATCH 0 "}, std::pair{"DELETE", "DELETE  "}}) {
    EXPECT_TRUE(Get({.method = method, .url = server.url()}).status.ok());
    EXPECT_EQ(seen, want);
  }
}

TEST_F(CurlIoTest, BodiesArriveAsTheyAreSent) {
  TestServer server([](const ServerRequest&, ServerStream& stream) {
    stream.Head(200);
    stream.Chunk("one");
    stream.Sleep(100ms);
    stream.Chunk("two");
    stream.Hang();
  });
  Collector collector;
  const auto id = Start({.url = server.url()}, collector);
  EXPECT_TRUE(collector.WaitBody("onetwo"));
  EXPECT_FALSE(collector.ended());
  io_.Run([&] { io_.Cancel(id); });
  io_.Run([] {});
  EXPECT_FALSE(collector.ended()) << "a cancelled request has no end";
}

TEST_F(CurlIoTest, Gzip) {
  const std::string text(60000, 'x');
  TestServer server([&](const ServerRequest& request, ServerStream& stream) {
    if (request.header("accept-encoding").find("gzip") == std::string::npos)
      return stream.Answer(200, "plain");
    stream.Answer(200, StoredGzip(text), {"Content-Encoding: gzip"});
  });
  EXPECT_EQ(Get({.url = server.url()}).body, text);
  EXPECT_EQ(Get({.url = server.url(), .accept_gzip = false}).body, "plain");
}

TEST_F(CurlIoTest, Failures) {
  {
    int port = 0;
    {
      port = TestServer([](const ServerRequest&, ServerStream&) {}).port();
    }
    const Result refused = Get({.url = "http://127.0.0.1:" + std::to_string(port)});
    EXPECT_TRUE(absl::IsUnavailable(refused.status)) << refused.status;
    EXPECT_THAT(std::string(Message(refused.status)), HasSubstr("127.0.0.1 port"));
  }
  TestServer server([](const ServerRequest& request, ServerStream& stream) {
    if (request.target == "/hang") return stream.Hang();
    if (request.target == "/drop") return stream.Drop();
    if (request.target == "/garbage") {
      stream.Raw("garbage\r\n\r\n");
      return stream.Drop();
    }
    stream.Head(200);
    stream.Chunk("half");
    stream.Drop();
  });
  EXPECT_TRUE(
      absl::IsDeadlineExceeded(Get({.url = server.url() + "/hang", .timeout = 100ms}).status));
  EXPECT_TRUE(absl::IsUnavailable(Get({.url = server.url() + "/drop"}).status));
  EXPECT_TRUE(absl::IsUnavailable(Get({.url = server.url() + "/garbage"}).status));
  const Result half = Get({.url = server.url() + "/half"});
  EXPECT_TRUE(absl::IsUnavailable(half.status));
  EXPECT_EQ(half.http_status, 200);
  EXPECT_TRUE(absl::IsUnavailable(Get({.url = "ftp://127.0.0.1/"}).status));
  EXPECT_TRUE(absl::IsUnavailable(Get({.url = "http://contour.invalid/"}).status));
}

TEST_F(CurlIoTest, RedirectsAreNotFollowed) {
  TestServer server([](const ServerRequest&, ServerStream& stream) {
    stream.Answer(302, "", {"Location: http://127.0.0.1:1/"});
  });
  EXPECT_EQ(Get({.url = server.url()}).http_status, 302);
}

TEST_F(CurlIoTest, ConnectionsAreUsedAgain) {
  TestServer server([](const ServerRequest&, ServerStream& stream) { stream.Answer(200, "x"); });
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(Get({.url = server.url()}).status.ok());
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(CurlIoTest, ResetEndsWhatRunsAndConnectsAnew) {
  TestServer server([](const ServerRequest& request, ServerStream& stream) {
    if (request.target == "/short") return stream.Answer(200, "x");
    stream.Head(200);
    stream.Chunk("x");
    stream.Hang();
  });
  Collector first;
  Collector second;
  Start({.url = server.url() + "/1"}, first);
  Start({.url = server.url() + "/2"}, second);
  ASSERT_TRUE(first.WaitBody("x"));
  ASSERT_TRUE(second.WaitBody("x"));
  EXPECT_EQ(server.connections(), 2);
  bool ended_inside = false;
  io_.Run([&] {
    io_.ResetConnections();
    ended_inside = first.ended();
  });
  EXPECT_FALSE(ended_inside);
  EXPECT_TRUE(absl::IsUnavailable(first.WaitEnd()));
  EXPECT_TRUE(absl::IsUnavailable(second.WaitEnd()));
  EXPECT_TRUE(Get({.url = server.url() + "/short"}).status.ok());
  EXPECT_EQ(server.connections(), 3);
}

TEST_F(CurlIoTest, LastReceivedMovesWithEveryByte) {
  TestServer server([](const ServerRequest&, ServerStream& stream) {
    stream.Head(200);
    stream.Sleep(50ms);
    stream.Chunk("x");
    stream.Hang();
  });
  const auto last = [&] {
    std::optional<TimePoint> time;
    io_.Run([&] { time = io_.LastReceived(); });
    return time;
  };
  EXPECT_EQ(last(), std::nullopt);
  const TimePoint begin = Clock::now();
  Collector collector;
  const auto id = Start({.url = server.url()}, collector);
  ASSERT_TRUE(collector.WaitBody("x"));
  ASSERT_TRUE(last().has_value());
  EXPECT_GE(*last() - begin, 50ms);
  io_.Run([&] { io_.Cancel(id); });
}

// Calls the loop from inside a callback.
class Meddler final : public Collector {
 public:
  enum class When { kHead, kBody, kEnd };
  Meddler(When when, std::function<void()> act) : when_(when), act_(std::move(act)) {}
  void OnHead(const HttpHead& head) override {
    Collector::OnHead(head);
    if (when_ == When::kHead) act_();
  }
  void OnBody(std::string_view bytes) override {
    Collector::OnBody(bytes);
    if (when_ == When::kBody) act_();
  }
  void OnEnd(const absl::Status& status) override {
    Collector::OnEnd(status);
    if (when_ == When::kEnd) act_();
  }

 private:
  const When when_;
  const std::function<void()> act_;
};

TEST_F(CurlIoTest, HandlersMayStartAndCancel) {
  TestServer server([](const ServerRequest& request, ServerStream& stream) {
    if (request.target == "/hang") return stream.Hang();
    stream.Head(200);
    stream.Chunk("x");
    stream.End();
  });
  for (const auto when : {Meddler::When::kHead, Meddler::When::kBody, Meddler::When::kEnd}) {
    Collector other;
    Collector hanging;
    Notification acted;
    const auto hanging_id = Start({.url = server.url() + "/hang"}, hanging);
    std::optional<Transport::RequestId> own;
    Meddler meddler(when, [&] {
      io_.Cancel(hanging_id);
      io_.Start({.url = server.url() + "/other"}, other);
      io_.Cancel(*own);
      acted.Notify();
    });
    io_.Run([&] { own = io_.Start({.url = server.url() + "/own"}, meddler); });
    acted.Wait();
    EXPECT_TRUE(other.WaitEnd().ok());
    EXPECT_FALSE(hanging.ended());
    EXPECT_EQ(meddler.ended(), when == Meddler::When::kEnd);
  }
}

TEST_F(CurlIoTest, MayStartIsAskedBeforeAnythingGoesOut) {
  std::atomic<int> requests = 0;
  TestServer server([&](const ServerRequest&, ServerStream& stream) {
    ++requests;
    stream.Answer(200, "x");
  });
  std::atomic<int> asked = 0;
  EXPECT_TRUE(Get({.url = server.url(),
                   .may_start =
                       [&] {
                         ++asked;
                         return true;
                       }})
                  .status.ok());
  EXPECT_EQ(asked, 1);
  const Result refused = Get({.url = server.url(), .may_start = [&] {
                                ++asked;
                                return false;
                              }});
  EXPECT_TRUE(absl::IsFailedPrecondition(refused.status)) << refused.status;
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(requests, 1);
}

TEST_F(CurlIoTest, Proxy) {
  TestServer proxy([](const ServerRequest& request, ServerStream& stream) {
    stream.Answer(200, "through the proxy: " + request.target);
  });
  // The proxy that was chosen counts, whatever the environment says.
  setenv("NO_PROXY", "*", 1);
  EXPECT_EQ(Get({.url = "http://127.0.0.1:1/x", .proxy = proxy.url()}).body,
            "through the proxy: http://127.0.0.1:1/x");
  unsetenv("NO_PROXY");
}

TEST_F(CurlIoTest, TheEnvironmentsProxyIsNotAskedBehindOurBack) {
  TestServer proxy([](const ServerRequest&, ServerStream& stream) { stream.Answer(502, "proxy"); });
  TestServer server(
      [](const ServerRequest&, ServerStream& stream) { stream.Answer(200, "direct"); });
  setenv("all_proxy", proxy.url().c_str(), 1);
  setenv("http_proxy", proxy.url().c_str(), 1);
  EXPECT_EQ(Get({.url = server.url() + "/x"}).body, "direct");
  unsetenv("all_proxy");
  unsetenv("http_proxy");
}

// ---- TLS

class CurlIoTlsTest : public CurlIoTest {
 protected:
  std::shared_ptr<const TestServer::Tls> ServerTls(const TestAuthority& authority,
                                                   const std::vector<std::string>& names,
                                                   const std::string& client_ca = "") {
    return std::make_shared<const TestServer::Tls>(
        TestServer::Tls{authority.Issue("server", names), client_ca});
  }
  static std::shared_ptr<const TlsOptions> Trust(const TestAuthority& authority) {
    TlsOptions tls;
    tls.ca_pem = authority.ca_pem();
    return std::make_shared<const TlsOptions>(tls);
  }
  static TestServer::Handler NameOfClient() {
    return [](const ServerRequest& request, ServerStream& stream) {
      stream.Answer(200, request.client_name + "@" + request.header("host"));
    };
  }

  TestAuthority authority_;
};

TEST_F(CurlIoTlsTest, TheServerIsVerified) {
  TestServer server(NameOfClient(), ServerTls(authority_, {"IP:127.0.0.1"}));
  EXPECT_TRUE(Get({.url = server.url(), .tls = Trust(authority_)}).status.ok());
  const TestAuthority stranger;
  const Result untrusted = Get({.url = server.url(), .tls = Trust(stranger)});
  EXPECT_TRUE(absl::IsUnavailable(untrusted.status));
  EXPECT_THAT(std::string(Message(untrusted.status)), HasSubstr("certificate"));
  EXPECT_FALSE(Get({.url = server.url()}).status.ok()) << "the system's authorities don't know it";
  TlsOptions skip;
  skip.skip_verify = true;
  EXPECT_TRUE(
      Get({.url = server.url(), .tls = std::make_shared<const TlsOptions>(skip)}).status.ok());
}

TEST_F(CurlIoTlsTest, WithoutHttp2LongRequestsDontWaitForEachOther) {
  TestServer server(
      [](const ServerRequest& request, ServerStream& stream) {
        stream.Head(200);
        stream.Chunk(request.target);
        stream.Hang();
      },
      ServerTls(authority_, {"IP:127.0.0.1"}));
  Collector first;
  Collector second;
  Transport::RequestId ids[2];
  io_.Run([&] {
    ids[0] = io_.Start({.url = server.url() + "/1", .tls = Trust(authority_)}, first);
    ids[1] = io_.Start({.url = server.url() + "/2", .tls = Trust(authority_)}, second);
  });
  EXPECT_TRUE(first.WaitBody("/1"));
  EXPECT_TRUE(second.WaitBody("/2"));
  io_.Run([&] {
    for (const auto id : ids) io_.Cancel(id);
  });
}

TEST_F(CurlIoTlsTest, ServerName) {
  TestServer server(NameOfClient(), ServerTls(authority_, {"DNS:kubernetes"}));
  EXPECT_FALSE(Get({.url = server.url(), .tls = Trust(authority_)}).status.ok());
  TlsOptions tls = *Trust(authority_);
  tls.server_name = "kubernetes";
  const Result named =
      Get({.url = server.url() + "/x", .tls = std::make_shared<const TlsOptions>(tls)});
  EXPECT_TRUE(named.status.ok()) << named.status;
  EXPECT_EQ(named.body, "@127.0.0.1:" + std::to_string(server.port()))
      << "the server sees the address";
  tls.server_name = "other";
  EXPECT_FALSE(
      Get({.url = server.url(), .tls = std::make_shared<const TlsOptions>(tls)}).status.ok());
}

TEST_F(CurlIoTlsTest, ClientCertificateAndItsRenewal) {
  TestServer server(NameOfClient(), ServerTls(authority_, {"IP:127.0.0.1"}, authority_.ca_pem()));
  const auto with = [&](const std::string& name) {
    const TestCertificate client = authority_.Issue(name);
    TlsOptions tls = *Trust(authority_);
    tls.cert_pem = client.cert_pem;
    tls.key_pem = client.key_pem;
    return std::make_shared<const TlsOptions>(tls);
  };
  const auto alice = with("alice");
  EXPECT_THAT(Get({.url = server.url(), .tls = alice}).body, HasSubstr("alice@"));
  EXPECT_THAT(Get({.url = server.url(), .tls = alice}).body, HasSubstr("alice@"));
  EXPECT_EQ(server.connections(), 1);
  EXPECT_THAT(Get({.url = server.url(), .tls = with("bob")}).body, HasSubstr("bob@"));
  EXPECT_EQ(server.connections(), 2) << "another certificate is another connection";
}

TEST_F(CurlIoTlsTest, ARenewedAuthorityIsAFreshConnection) {
  TestServer server(NameOfClient(), ServerTls(authority_, {"IP:127.0.0.1"}));
  EXPECT_TRUE(Get({.url = server.url(), .tls = Trust(authority_)}).status.ok());
  const TestAuthority next;
  server.SetTls(ServerTls(next, {"IP:127.0.0.1"}));
  EXPECT_TRUE(Get({.url = server.url(), .tls = Trust(authority_)}).status.ok())
      << "the live connection stays";
  EXPECT_TRUE(Get({.url = server.url(), .tls = Trust(next)}).status.ok());
  EXPECT_EQ(server.connections(), 2);
}

// ---- The loop

TEST_F(CurlIoTest, TasksAndTimersRunInOrder) {
  std::vector<int> order;
  Notification done;
  io_.Run([&] {
    io_.RunAfter(40ms, [&] { done.Notify(); });
    io_.RunAfter(20ms, [&] { order.push_back(4); });
    const auto never = io_.RunAfter(10ms, [&] { order.push_back(-1); });
    io_.RunAfter(15ms, [&] { order.push_back(3); });
    io_.Post([&] { order.push_back(2); });
    io_.CancelTimer(never);
    io_.CancelTimer(never);
    order.push_back(1);
  });
  done.Wait();
  EXPECT_THAT(order, testing::ElementsAre(1, 2, 3, 4));
}

TEST_F(CurlIoTest, TimerReplacesAndDies) {
  std::atomic<int> fired = 0;
  io_.Run([&] {
    auto timer = std::make_unique<Timer>(io_);
    timer->Set(10ms, [&] { fired += 100; });
    timer.reset();
  });
  auto kept = std::make_unique<Timer>(io_);
  Notification done;
  io_.Run([&] {
    kept->Set(10ms, [&] { fired += 10; });
    kept->Set(20ms, [&] {
      ++fired;
      kept->Set(1ms, [&] { done.Notify(); });
    });
  });
  done.Wait();
  EXPECT_EQ(fired, 1);
  io_.Run([&] { kept.reset(); });
}

TEST_F(CurlIoTest, PostFromManyThreads) {
  std::atomic<int> count = 0;
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 1000; ++j) io_.Post([&] { ++count; });
    });
  }
  for (std::thread& thread : threads) thread.join();
  io_.Run([] {});
  EXPECT_EQ(count, 4000);
}

TEST_F(CurlIoTest, Random) {
  io_.Run([&] {
    double sum = 0;
    for (int i = 0; i < 1000; ++i) {
      const double random = io_.Random();
      EXPECT_GE(random, 0);
      EXPECT_LT(random, 1);
      sum += random;
    }
    EXPECT_NEAR(sum / 1000, 0.5, 0.1);
  });
}

TEST_F(CurlIoTest, StopWithRunningRequests) {
  TestServer server([](const ServerRequest&, ServerStream& stream) { stream.Hang(); });
  Collector collector;
  Start({.url = server.url()}, collector);
  io_.Run([&] { io_.RunAfter(1h, [] {}); });
  const TimePoint begin = Clock::now();
  io_.Stop();
  io_.Stop();
  EXPECT_LT(Clock::now() - begin, 5s);
  EXPECT_FALSE(collector.ended());
  bool ran = false;
  io_.Run([&] { ran = true; });
  EXPECT_TRUE(ran) << "directly, once the loop has stopped";
  io_.Post([] { ADD_FAILURE(); });
}

}  // namespace
}  // namespace contour::kube
