// SPDX-License-Identifier: Apache-2.0

#include "kube/session.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "kube/testing_files.h"
#include "kube/testing_io.h"

namespace contour::kube {
namespace {

struct Recorder final : HttpHandler {
  void OnHead(const HttpHead& head) override { text += fmt::format("head {} ", head.status); }
  void OnBody(std::string_view bytes) override { text += fmt::format("body {} ", bytes); }
  void OnEnd(const absl::Status& status) override { text += status.ok() ? "end" : "failed"; }
  std::string text;
};

class SessionTest : public testing::Test {
 protected:
  SessionTest() {
    config_.server = "http://server/base";
    config_.proxy = "http://proxy";
    config_.token.file = folder_.Write("token", "one");
    session_ = std::make_unique<Session>(*Credentials::Create(config_), io_, io_);
  }

  TempFolder folder_;
  ServerConfig config_;
  FakeIo io_;
  std::unique_ptr<Session> session_;
  Recorder recorder_;
};

TEST_F(SessionTest, AddsAddressAndIdentity) {
  session_->Start({.method = "PUT", .path = "/x?y", .body = "{}"}, recorder_);
  FakeIo::Exchange& request = io_.Next("/base/x?y");
  EXPECT_EQ(request.request.url, "http://server/base/x?y");
  EXPECT_EQ(request.request.method, "PUT");
  EXPECT_EQ(request.request.body, "{}");
  EXPECT_EQ(request.request.proxy, "http://proxy");
  EXPECT_EQ(request.header("Authorization"), "Bearer one");
  EXPECT_EQ(request.header("Content-Type"), "application/json");
  request.Answer(200, "text");
  EXPECT_EQ(recorder_.text, "head 200 body text end");
}

TEST_F(SessionTest, A401IsTriedAgainWithANewerTokenOnce) {
  session_->Start({.path = "/x"}, recorder_);
  FakeIo::Exchange& first = io_.Next("/base/x");
  folder_.Write("token", "two");
  first.Head(401);
  EXPECT_TRUE(first.gone());
  EXPECT_EQ(recorder_.text, "") << "it doesn't see the first answer";
  FakeIo::Exchange& second = io_.Next("/base/x");
  EXPECT_EQ(second.header("Authorization"), "Bearer two");
  folder_.Write("token", "three");
  second.Answer(401, "no");
  EXPECT_EQ(recorder_.text, "head 401 body no end");
  EXPECT_EQ(io_.Count("/base/x"), 2);
}

TEST_F(SessionTest, A401WithoutANewerTokenIsHandedOn) {
  session_->Start({.path = "/x"}, recorder_);
  io_.Next("/base/x").Answer(401, "no");
  EXPECT_EQ(recorder_.text, "head 401 body no end");
}

TEST_F(SessionTest, Cancel) {
  const auto id = session_->Start({.path = "/x"}, recorder_);
  session_->Cancel(id);  // before it went out
  EXPECT_EQ(io_.Count("/base/x"), 0);
  const auto other = session_->Start({.path = "/x"}, recorder_);
  FakeIo::Exchange& request = io_.Next("/base/x");
  session_->Cancel(other);
  session_->Cancel(other);
  EXPECT_TRUE(request.gone());
  session_->Start({.path = "/x"}, recorder_);
  FakeIo::Exchange& last = io_.Next("/base/x");
  session_.reset();
  EXPECT_TRUE(last.gone());
  EXPECT_EQ(recorder_.text, "");
}

}  // namespace
}  // namespace contour::kube
