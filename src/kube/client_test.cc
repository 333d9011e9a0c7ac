// SPDX-License-Identifier: Apache-2.0

#include "kube/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "kube/testing_io.h"
#include "kube/testing_objects.h"

namespace contour::kube {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class ClientTest : public testing::Test {
 protected:
  void StartClient(ClientOptions options = {}) {
    ServerConfig config;
    config.server = "http://server";
    client_ = std::make_unique<Client>(*Credentials::Create(config), std::move(options), io_, io_);
  }
  Client::RequestId Send(const std::string& path, Request request = {}) {
    request.path = path;
    return client_->Send(std::move(request), [this, path](const Response& response) {
      responses_.push_back(path + " " + std::to_string(response.http_status) + " " +
                           std::string(absl::StatusCodeToString(response.status.code())) + " " +
                           response.body);
      last_ = response;
    });
  }

  FakeIo io_;
  std::unique_ptr<Client> client_;
  std::vector<std::string> responses_;
  std::optional<Response> last_;
};

TEST_F(ClientTest, AnswersAndErrors) {
  StartClient();
  Send("/a");
  io_.Next("/a").Answer(200, "text");
  Send("/b");
  io_.Next("/b").Answer(409, StatusJson(409, "Conflict"));
  Send("/c");
  io_.Next("/c").Answer(503, "later", 9s);
  EXPECT_EQ(last_->retry_after, 9s);
  Send("/d");
  io_.Next("/d").End(absl::UnavailableError("connection refused"));
  EXPECT_THAT(responses_, testing::ElementsAre("/a 200 OK text", HasSubstr("/b 409 ABORTED"),
                                               "/c 503 UNAVAILABLE later", "/d 0 UNAVAILABLE "));
}

TEST_F(ClientTest, SendsWhatItIsGiven) {
  StartClient();
  Send("/a", {.method = "POST", .body = "{}"});
  EXPECT_EQ(io_.Next("/a").request.method, "POST");
  Send("/b", MergePatchStatus({}, "", ""));
  const Request patch =
      MergePatchStatus({api::Kind::kIngressRoute, "default", "root"}, "1\"2", R"({"a":"b"})");
  EXPECT_EQ(patch.method, "PATCH");
  EXPECT_EQ(patch.path,
            "/apis/contour.heptio.com/v1beta1/namespaces/default/ingressroutes/root/status"
            "?fieldManager=contour-status");
  EXPECT_EQ(patch.content_type, "application/merge-patch+json");
  EXPECT_EQ(patch.body, R"({"metadata":{"resourceVersion":"1\"2"},"status":{"a":"b"}})");
}

TEST_F(ClientTest, DeadlineCountsTheWaiting) {
  StartClient({.per_second = 1, .burst = 1});
  Send("/first");
  Send("/second", {.deadline = 500ms});
  io_.Next("/first");
  io_.Advance(499ms);
  EXPECT_TRUE(responses_.empty());
  io_.Advance(1ms);
  EXPECT_THAT(responses_, testing::ElementsAre("/second 0 DEADLINE_EXCEEDED "));
  io_.Advance(5s);
  EXPECT_EQ(io_.Count("/second"), 0);
}

TEST_F(ClientTest, DeadlineEndsARunningRequest) {
  StartClient();
  Send("/a", {.deadline = 3s});
  FakeIo::Exchange& request = io_.Next("/a").Head(200).Body("half");
  io_.Advance(3s);
  EXPECT_TRUE(request.gone());
  EXPECT_THAT(responses_, testing::ElementsAre("/a 0 DEADLINE_EXCEEDED "));
}

TEST_F(ClientTest, RateIsLimitedButNotForTheUrgent) {
  StartClient({.per_second = 10, .burst = 3});
  for (int i = 0; i < 10; ++i) Send("/normal");
  Send("/urgent", {.urgent = true});
  EXPECT_EQ(io_.Count("/normal"), 3);
  EXPECT_EQ(io_.Count("/urgent"), 1);
  io_.Advance(100ms);
  EXPECT_EQ(io_.Count("/normal"), 4);
  io_.Advance(500ms);
  EXPECT_EQ(io_.Count("/normal"), 9);
  io_.Advance(10s);
  EXPECT_EQ(io_.Count("/normal"), 10);
  for (int i = 0; i < 10; ++i) Send("/later");
  EXPECT_EQ(io_.Count("/later"), 3) << "no more than the burst is saved up";
}

TEST_F(ClientTest, A429IsSentAgainAfterItsTimeAndHoldsTheOthersBack) {
  StartClient();
  Send("/a");
  io_.Next("/a").Answer(429, StatusJson(429, "TooManyRequests"), 4s);
  EXPECT_TRUE(responses_.empty());
  Send("/b");
  Send("/lock", {.urgent = true});
  io_.Advance(3900ms);
  EXPECT_EQ(io_.Count("/a"), 1);
  EXPECT_EQ(io_.Count("/b"), 0);
  EXPECT_EQ(io_.Count("/lock"), 1);
  io_.Advance(200ms);
  EXPECT_EQ(io_.Count("/b"), 1);
  io_.Next("/a").Answer(200, "");
  EXPECT_THAT(responses_, testing::ElementsAre("/a 200 OK "));
}

TEST_F(ClientTest, A429BeyondTheDeadlineIsTheAnswer) {
  StartClient();
  Send("/a", {.deadline = 3s});
  io_.Next("/a").Answer(429, "", 4s);
  EXPECT_THAT(responses_, testing::ElementsAre(HasSubstr("/a 429 RESOURCE_EXHAUSTED")));
}

TEST_F(ClientTest, NoStartWhenNoLongerAllowed) {
  StartClient();
  bool leader = true;
  Send("/a", {.may_start = [&] { return leader; }});
  EXPECT_NE(io_.Find("/a"), nullptr);
  leader = false;
  Send("/b", {.may_start = [&] { return leader; }});
  EXPECT_EQ(io_.Find("/b"), nullptr);
  EXPECT_THAT(responses_, testing::ElementsAre("/b 0 FAILED_PRECONDITION "));
}

TEST_F(ClientTest, CancelledRequestsAreNotAnswered) {
  StartClient({.per_second = 1, .burst = 1});
  const auto running = Send("/running");
  const auto waiting = Send("/waiting");
  FakeIo::Exchange& request = io_.Next("/running");
  client_->Cancel(running);
  client_->Cancel(waiting);
  client_->Cancel(waiting);
  EXPECT_TRUE(request.gone());
  io_.Advance(1min);
  EXPECT_EQ(io_.Count("/waiting"), 0);
  EXPECT_TRUE(responses_.empty());
}

TEST_F(ClientTest, AnAnswerAboveTheLimitIsAnError) {
  StartClient();
  Send("/a");
  FakeIo::Exchange& request = io_.Next("/a").Head(200);
  for (int i = 0; i < 5 && !request.gone(); ++i) request.Body(std::string(1024 * 1024, 'x'));
  EXPECT_TRUE(request.gone());
  EXPECT_THAT(responses_, testing::ElementsAre("/a 200 RESOURCE_EXHAUSTED "));
}

TEST_F(ClientTest, TheEndCancelsAll) {
  StartClient({.per_second = 1, .burst = 1});
  Send("/a");
  Send("/b");
  FakeIo::Exchange& request = io_.Next("/a");
  Send("/c");  // still in the loop's queue
  client_.reset();
  EXPECT_TRUE(request.gone());
  io_.Advance(1min);
  EXPECT_TRUE(responses_.empty());
}

TEST_F(ClientTest, ADoneMaySendAgain) {
  StartClient();
  client_->Send({.path = "/a"}, [this](const Response&) { Send("/b"); });
  io_.Next("/a").Answer(200, "");
  io_.Next("/b").Answer(200, "");
  EXPECT_EQ(responses_.size(), 1u);
}

}  // namespace
}  // namespace contour::kube
