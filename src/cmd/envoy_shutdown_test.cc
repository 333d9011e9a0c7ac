// SPDX-License-Identifier: Apache-2.0
#include "cmd/envoy_shutdown.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <unistd.h>

#include <deque>
#include <filesystem>
#include <fstream>
#include <future>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "cmd/envoy_shutdown_manager.h"

namespace contour::cmd {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;
using testing::ElementsAre;

TEST(OpenConnectionsTest, SumsIngressListeners) {
  const std::string text =
      "# TYPE envoy_http_downstream_cx_active gauge\n"
      "envoy_http_downstream_cx_active{envoy_http_conn_manager_prefix=\"admin\"} 1\n"
      "envoy_http_downstream_cx_active{envoy_http_conn_manager_prefix=\"stats\"} 20\n"
      "envoy_http_downstream_cx_active{envoy_http_conn_manager_prefix=\"ingress_http\"} 300\n"
      "envoy_http_downstream_cx_active{envoy_http_conn_manager_prefix=\"ingress_https\"} 4000\r\n"
      "envoy_http_downstream_cx_active_total{} 7\n"
      "envoy_http_downstream_cx_active{} 50000";
  const absl::StatusOr<std::uint64_t> got = OpenConnections(text);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(*got, 54300U);
  EXPECT_EQ(OpenConnections("").value(), 0U);
  for (const char* bad : {"{} -1", "{} ", "{", "{} 1x", "{} NaN"}) {
    EXPECT_FALSE(OpenConnections(std::string("envoy_http_downstream_cx_active") + bad).ok()) << bad;
  }
}

// A scripted Envoy, and a clock that only sleep moves.
struct World {
  std::deque<absl::Status> fail_answers;             // then OK
  std::deque<absl::StatusOr<std::uint64_t>> counts;  // then the last one for ever
  std::chrono::steady_clock::time_point time;
  std::vector<std::string> events;
  bool ready = false;

  ShutdownActions Actions() {
    return {
        .fail_health_check =
            [this] {
              events.emplace_back("fail");
              absl::Status status;
              if (!fail_answers.empty()) {
                status = fail_answers.front();
                fail_answers.pop_front();
              }
              return status;
            },
        .connection_stats = [this]() -> absl::StatusOr<std::string> {
          const absl::StatusOr<std::uint64_t> count = counts.front();
          if (counts.size() > 1) counts.pop_front();
          if (!count.ok()) return count.status();
          events.push_back(fmt::format("count {}", *count));
          return fmt::format("envoy_http_downstream_cx_active{{}} {}\n", *count);
        },
        .sleep =
            [this](nanoseconds duration) {
              time += duration;
              if (duration.count() > 0)
                events.push_back(fmt::format(
                    "sleep {}", std::chrono::duration_cast<milliseconds>(duration).count()));
            },
        .now = [this] { return time; },
        .write_ready_file =
            [this] {
              ready = true;
              return absl::OkStatus();
            },
    };
  }
};

ShutdownOptions WithoutDelays() {
  ShutdownOptions options;
  options.drain_delay = options.check_delay = seconds(0);
  return options;
}

TEST(DrainTest, AnEnvoyWithoutConnectionsIsKeptWhileBalancersLearnThatItEnds) {
  World world;
  world.counts = {0};
  EXPECT_EQ(Drain({}, world.Actions()), absl::OkStatus());
  EXPECT_THAT(world.events, ElementsAre("sleep 5000", "fail", "sleep 5000", "count 0"));
}

TEST(DrainTest, TheCheckDelayDoesNotOutlastTheDrainTimeout) {
  World world;
  world.counts = {7};
  ShutdownOptions options = WithoutDelays();
  options.check_delay = seconds(60);
  options.drain_timeout = seconds(12);
  EXPECT_EQ(Drain(options, world.Actions()), absl::OkStatus());
  EXPECT_THAT(world.events, ElementsAre("fail", "sleep 12000", "count 7"));
}

TEST(DrainTest, WaitsUntilFewAreOpen) {
  World world;
  world.counts = {9, Unavailable("away"), 3, 2};
  ShutdownOptions options;
  options.drain_delay = seconds(1);
  options.check_delay = seconds(2);
  options.check_interval = seconds(3);
  options.min_open_connections = 2;
  EXPECT_EQ(Drain(options, world.Actions()), absl::OkStatus());
  EXPECT_TRUE(world.ready);
  EXPECT_THAT(world.events, ElementsAre("sleep 1000", "fail", "sleep 2000", "count 9", "sleep 3000",
                                        "sleep 3000", "count 3", "sleep 3000", "count 2"));
}

TEST(DrainTest, EndsWhenTheTimeIsOver) {
  World world;
  world.counts = {7};
  ShutdownOptions options = WithoutDelays();
  options.drain_timeout = seconds(12);
  EXPECT_EQ(Drain(options, world.Actions()), absl::OkStatus());
  EXPECT_TRUE(world.ready);
  EXPECT_THAT(world.events, ElementsAre("fail", "count 7", "sleep 5000", "count 7", "sleep 5000",
                                        "count 7", "sleep 2000", "count 7"));
}

TEST(DrainTest, AsksEnvoyInFourTries) {
  World world;
  world.counts = {0};
  world.fail_answers = {Unavailable("1"), Unavailable("2"), Unavailable("3")};
  EXPECT_EQ(Drain(WithoutDelays(), world.Actions()), absl::OkStatus());
  EXPECT_TRUE(world.ready);
  EXPECT_THAT(world.events, ElementsAre("fail", "sleep 200", "fail", "sleep 1000", "fail",
                                        "sleep 5000", "fail", "count 0"));
}

TEST(DrainTest, GivesUpOnAnEnvoyThatIsAway) {
  World world;
  world.fail_answers = {Unavailable("1"), Unavailable("2"), Unavailable("3"), Unavailable("4")};
  EXPECT_EQ(Message(Drain({}, world.Actions())), "4");
  EXPECT_FALSE(world.ready);
}

// ---- The manager ----

class ShutdownManagerTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::remove(path_); }
  void TearDown() override { std::filesystem::remove(path_); }
  void WriteFile() { std::ofstream(path_) << "OK\n"; }

  // Returns the status of GET /shutdown when it comes.
  static std::future<int> Shutdown(int port) {
    return std::async(std::launch::async, [port] {
      httplib::Client client("127.0.0.1", port);
      client.set_read_timeout(20, 0);
      const httplib::Result result = client.Get("/shutdown");
      return result ? result->status : 0;
    });
  }

  const std::string path_ =
      testing::TempDir() + "contour-shutdown-ready-" + std::to_string(getpid());
};

TEST_F(ShutdownManagerTest, AnswersWhenTheFileIsThere) {
  ShutdownManager manager("127.0.0.1", 0, path_, milliseconds(5));
  const absl::StatusOr<std::uint16_t> port = manager.Start();
  ASSERT_TRUE(port.ok()) << port.status();
  EXPECT_EQ(httplib::Client("127.0.0.1", *port).Get("/healthz")->status, 200);
  std::future<int> waiting = Shutdown(*port);
  EXPECT_EQ(waiting.wait_for(milliseconds(100)), std::future_status::timeout);
  WriteFile();
  EXPECT_EQ(waiting.get(), 200);
}

TEST_F(ShutdownManagerTest, EndsWithAnswers) {
  for (const bool file : {true, false}) {
    ShutdownManager manager("127.0.0.1", 0, path_, std::chrono::hours(1));
    const absl::StatusOr<std::uint16_t> port = manager.Start();
    ASSERT_TRUE(port.ok()) << port.status();
    std::future<int> waiting = Shutdown(*port);
    EXPECT_EQ(waiting.wait_for(milliseconds(200)), std::future_status::timeout);
    if (file) WriteFile();
    manager.Stop();
    EXPECT_EQ(waiting.get(), file ? 200 : 503);
    std::filesystem::remove(path_);
  }
}

TEST_F(ShutdownManagerTest, WhoWaitsKeepsNobodyOut) {
  ShutdownManager manager("127.0.0.1", 0, path_, milliseconds(5));
  const absl::StatusOr<std::uint16_t> port = manager.Start();
  ASSERT_TRUE(port.ok()) << port.status();
  std::vector<std::future<int>> waiting;
  for (int i = 0; i < 8; ++i) waiting.push_back(Shutdown(*port));
  for (const std::future<int>& each : waiting)
    EXPECT_EQ(each.wait_for(milliseconds(50)), std::future_status::timeout);
  EXPECT_EQ(Shutdown(*port).get(), 503) << "a ninth of one address";
  httplib::Client other("127.0.0.1", *port);
  other.set_interface("127.0.0.2");  // another address of this machine
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(other.Get("/healthz")->status, 200);
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(1));
  WriteFile();
  for (std::future<int>& each : waiting) EXPECT_EQ(each.get(), 200);
  EXPECT_EQ(other.Get("/shutdown")->status, 200);
}

TEST_F(ShutdownManagerTest, SaysThatThePortIsTaken) {
  ShutdownManager first("127.0.0.1", 0, path_);
  const absl::StatusOr<std::uint16_t> port = first.Start();
  ASSERT_TRUE(port.ok()) << port.status();
  ShutdownManager second("192.0.2.1", *port, path_);  // an address of nobody's
  EXPECT_EQ(Message(second.Start().status()),
            fmt::format("--serve-address, --serve-port: can't listen on 192.0.2.1:{}", *port));
}

}  // namespace
}  // namespace contour::cmd
