// SPDX-License-Identifier: Apache-2.0

#include "status/status_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

namespace contour::status {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

const api::ObjectRef kRef{api::Kind::kIngressRoute, "default", "root"};
const graph::Status kValid{"valid", "valid IngressRoute", "foo.com"};
const graph::Status kInvalid{"invalid", "Service [kuard:80] is invalid or missing", ""};

api::Change Object(const std::string& version, const graph::Status& status) {
  auto route = std::make_shared<api::IngressRoute>();
  route->meta.ns = kRef.ns;
  route->meta.name = kRef.name;
  route->meta.resource_version = version;
  route->status = {status.current_status, status.description};
  return {kRef, route};
}

// An API server that holds writes until the test answers them.
class Server {
 public:
  struct Write {
    std::string version;
    graph::Status status;
    StatusWriter::Done done;
  };

  StatusWriter::Patch Patch() {
    return [this](const api::ObjectRef&, const std::string& version, const graph::Status& status,
                  StatusWriter::Done done) {
      const std::lock_guard lock(mutex_);
      writes_.push_back({version, status, std::move(done)});
      changed_.notify_all();
    };
  }
  // Waits for the n-th write (from 0).
  std::optional<Write> Await(std::size_t n, std::chrono::milliseconds limit = 10s) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, limit, [&] { return writes_.size() > n; })) return std::nullopt;
    return writes_[n];
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Write> writes_;
};

class StatusWriterTest : public ::testing::Test {
 protected:
  StatusWriterTest() { writer_.Start(); }

  Server server_;
  StatusWriter writer_{server_.Patch(), {.parallel = 2, .first_delay = 1ms, .most_delay = 20ms}};
};

TEST_F(StatusWriterTest, WritesTheDifferenceOnce) {
  writer_.Want(kRef, kValid);
  writer_.Observe({Object("1", {})});
  const auto write = server_.Await(0);
  ASSERT_TRUE(write);
  EXPECT_EQ(write->version, "1");
  EXPECT_EQ(write->status, kValid);
  write->done(absl::OkStatus());
  writer_.Observe({Object("2", kValid)});  // the event of our own write
  EXPECT_FALSE(server_.Await(1, 50ms));
  EXPECT_EQ(writer_.statistics().written, 1U);
  EXPECT_EQ(writer_.statistics().waiting, 0U);
}

TEST_F(StatusWriterTest, WritesNothingWhereNothingDiffers) {
  writer_.Observe({Object("1", kValid)});
  writer_.Want(kRef, graph::Status{kValid.current_status, kValid.description, "another label"});
  EXPECT_FALSE(server_.Await(0, 50ms));
}

TEST_F(StatusWriterTest, TheLatestWinsAfterAWriteUnderWay) {
  writer_.Observe({Object("1", {})});
  writer_.Want(kRef, kInvalid);
  const auto first = server_.Await(0);
  ASSERT_TRUE(first);
  writer_.Want(kRef, kValid);
  writer_.Want(kRef, kInvalid);
  writer_.Want(kRef, kValid);
  EXPECT_FALSE(server_.Await(1, 30ms)) << "one write per object at a time";
  writer_.Observe({Object("2", kInvalid)});
  first->done(absl::OkStatus());
  const auto second = server_.Await(1);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->version, "2");
  EXPECT_EQ(second->status, kValid);
}

TEST_F(StatusWriterTest, AConflictIsJudgedByTheNewerObject) {
  writer_.Observe({Object("1", {})});
  writer_.Want(kRef, kValid);
  const auto first = server_.Await(0);
  ASSERT_TRUE(first);
  writer_.Observe({Object("2", {})});
  first->done(absl::AbortedError("409"));
  const auto second = server_.Await(1);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->version, "2");
  EXPECT_EQ(writer_.statistics().conflicts, 1U);
}

TEST_F(StatusWriterTest, FailuresAreTriedAgain) {
  writer_.Observe({Object("1", {})});
  writer_.Want(kRef, kValid);
  for (std::size_t i = 0; i < 4; ++i) {
    const auto write = server_.Await(i);
    ASSERT_TRUE(write) << i;
    write->done(absl::UnavailableError("no connection"));
  }
  const auto last = server_.Await(4);
  ASSERT_TRUE(last);
  last->done(absl::OkStatus());
  EXPECT_FALSE(server_.Await(5, 50ms));
  EXPECT_EQ(writer_.statistics().failures, 4U);
}

TEST_F(StatusWriterTest, WhatSomebodyElseWritesIsPutRight) {
  writer_.Observe({Object("1", kValid)});
  writer_.Want(kRef, kValid);
  writer_.Observe({Object("2", {"valid", "mine", ""})});
  const auto write = server_.Await(0);
  ASSERT_TRUE(write);
  EXPECT_EQ(write->version, "2");
  EXPECT_EQ(write->status, kValid);
}

TEST_F(StatusWriterTest, AnObjectThatIsGoneIsForgotten) {
  writer_.Observe({Object("1", {})});
  writer_.Want(kRef, kValid);
  const auto write = server_.Await(0);
  ASSERT_TRUE(write);
  writer_.Want(kRef, std::nullopt);
  writer_.Observe({{kRef, nullptr}});
  write->done(absl::NotFoundError("404"));
  EXPECT_FALSE(server_.Await(1, 50ms));
  EXPECT_EQ(writer_.statistics().waiting, 0U);
}

TEST(StatusJson, IsJson) {
  EXPECT_EQ(StatusJson({"invalid", "route \"/\": x\n", "v"}),
            R"({"currentStatus":"invalid","description":"route \"/\": x\n"})");
}

}  // namespace
}  // namespace contour::status
