// SPDX-License-Identifier: Apache-2.0
// Tests the thread around the plan; status_plan_test.cc tests which status is written when.

#include "status/status_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "api/ingress_route.h"
#include "graph/kinds/ingressroute/status.h"
#include "status/fields.h"

namespace contour::status {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

const api::ObjectRef kRef{api::Kind::kIngressRoute, "default", "root"};

api::Change Object(const std::string& version) {
  auto route = std::make_shared<api::IngressRoute>();
  route->meta.ns = kRef.ns;
  route->meta.name = kRef.name;
  route->meta.resource_version = version;
  return {kRef, route};
}

// An API server that holds writes until the test answers them.
class Server {
 public:
  StatusWriter::Patch Patch() {
    return [this](const StatusPlan::Write& write, StatusWriter::Done done) {
      const std::lock_guard lock(mutex_);
      writes_.emplace_back(write, std::move(done));
      changed_.notify_all();
    };
  }
  // Waits for the n-th write (from 0).
  std::optional<std::pair<StatusPlan::Write, StatusWriter::Done>> Await(
      std::size_t n, std::chrono::milliseconds limit = 10s) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, limit, [&] { return writes_.size() > n; })) return std::nullopt;
    return writes_[n];
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::pair<StatusPlan::Write, StatusWriter::Done>> writes_;
};

class StatusWriterTest : public ::testing::Test {
 protected:
  StatusWriterTest() { writer_.Start(); }

  Server server_;
  StatusWriter writer_{server_.Patch(), {}, {.first_delay = 1ms, .most_delay = 20ms}};
};

TEST_F(StatusWriterTest, WritesTheDifferenceOnce) {
  writer_.Want(kRef, Fields(api::Kind::kIngressRoute,
                            graph::ingressroute::MakeStatus("valid", "valid IngressRoute", "")));
  writer_.Observe({Object("1")});
  const auto write = server_.Await(0);
  ASSERT_TRUE(write);
  EXPECT_EQ(write->first.resource_version, "1");
  EXPECT_FALSE(writer_.Drain(1ms)) << "it isn't answered";
  write->second({});
  EXPECT_TRUE(writer_.Drain(10s));
  EXPECT_FALSE(server_.Await(1, 30ms));
  EXPECT_EQ(writer_.statistics().written, 1U);
}

TEST_F(StatusWriterTest, FailuresAreTriedAgainByItself) {
  writer_.Want(kRef, "{}");
  writer_.Observe({Object("1")});
  for (std::size_t i = 0; i < 3; ++i) {
    const auto write = server_.Await(i);
    ASSERT_TRUE(write) << i;
    write->second({absl::UnavailableError("no connection"), {}, {}});
  }
  const auto last = server_.Await(3);
  ASSERT_TRUE(last);
  last->second({});
  EXPECT_TRUE(writer_.Drain(10s));
}

TEST_F(StatusWriterTest, InactiveItWritesNothing) {
  writer_.SetActive(false);
  writer_.Want(kRef, "{}");
  writer_.Observe({Object("1")});
  EXPECT_FALSE(server_.Await(0, 30ms));
  writer_.SetActive(true);
  EXPECT_TRUE(server_.Await(0));
}

TEST_F(StatusWriterTest, StopsWhileSomethingWaits) {
  writer_.Want(kRef, "{}");
  writer_.Observe({Object("1")});
  ASSERT_TRUE(server_.Await(0));
  writer_.Stop();
  EXPECT_FALSE(writer_.Drain(10s)) << "returns, as nothing will come any more";
}

}  // namespace
}  // namespace contour::status
