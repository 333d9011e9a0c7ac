// SPDX-License-Identifier: Apache-2.0

#include "admin/health_server.h"

#include <gtest/gtest.h>
#include <httplib.h>

#include <atomic>
#include <chrono>
#include <future>
#include <string>
#include <thread>
#include <vector>

namespace contour::admin {
namespace {

using namespace std::chrono_literals;

TEST(HealthServer, AnswersAliveReadyAndMetrics) {
  std::string reason = "not synced";
  HealthServer server("127.0.0.1", 0,
                      {.not_ready = [&] { return reason; }, .metrics = [] { return "up 1\n"; }});
  const auto port = server.Start();
  ASSERT_TRUE(port.ok()) << port.status();
  httplib::Client client("127.0.0.1", *port);
  EXPECT_EQ(client.Get("/healthz")->status, 200);
  EXPECT_EQ(client.Get("/readyz")->status, 503);
  EXPECT_EQ(client.Get("/readyz")->body, "not synced\n");
  reason.clear();
  EXPECT_EQ(client.Get("/readyz")->status, 200);
  EXPECT_EQ(client.Get("/metrics")->body, "up 1\n");
  EXPECT_EQ(client.Get("/other")->status, 404);
}

// If a scrape is slow, probes don't wait for it, and scrapers don't accumulate.
TEST(HealthServer, ProbesDoNotWaitForScrapes) {
  std::atomic<bool> release = false;
  std::atomic<int> scraping = 0;
  HealthServer server("127.0.0.1", 0,
                      {.not_ready = [] { return ""; },
                       .metrics =
                           [&] {
                             ++scraping;
                             while (!release) std::this_thread::sleep_for(5ms);
                             return "up 1\n";
                           }});
  const auto port = server.Start();
  ASSERT_TRUE(port.ok()) << port.status();
  std::vector<std::future<int>> scrapes;
  for (int i = 0; i < 4; ++i) {
    scrapes.push_back(std::async(std::launch::async, [&port] {
      return httplib::Client("127.0.0.1", *port).Get("/metrics")->status;
    }));
  }
  while (scraping < 4) std::this_thread::sleep_for(5ms);
  for (int i = 0; i < 100; ++i) {
    const auto began = std::chrono::steady_clock::now();
    for (const char* path : {"/healthz", "/readyz"})
      EXPECT_EQ(httplib::Client("127.0.0.1", *port).Get(path)->status, 200);
    EXPECT_LT(std::chrono::steady_clock::now() - began, 1s);
  }
  EXPECT_EQ(httplib::Client("127.0.0.1", *port).Get("/metrics")->status, 503) << "a fifth one";
  release = true;
  for (std::future<int>& scrape : scrapes) EXPECT_EQ(scrape.get(), 200);
}

TEST(HealthServer, NamesAPortThatIsTaken) {
  HealthServer first("127.0.0.1", 0,
                     {.not_ready = [] { return ""; }, .metrics = [] { return ""; }});
  const auto port = first.Start();
  ASSERT_TRUE(port.ok());
  HealthServer second("192.0.2.1", *port,
                      {.not_ready = [] { return ""; }, .metrics = [] { return ""; }});
  const auto taken = second.Start();
  ASSERT_FALSE(taken.ok());
  EXPECT_NE(taken.status().ToString().find("192.0.2.1:" + std::to_string(*port)),
            std::string::npos);
}

}  // namespace
}  // namespace contour::admin
