// SPDX-License-Identifier: Apache-2.0

#include "admin/health_server.h"

#include <gtest/gtest.h>
#include <httplib.h>

namespace contour::admin {
namespace {

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
